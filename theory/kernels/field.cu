// The field of the gradient flow on a GPU: F and the velocity, without any array of points by neurons.
//
// Compiled with -DREAL=float or double, -DDIM=D, -DLOSS=0 (hinge), 1 (softhinge) or 2 (squaredhinge), and
// -DEACH=points that a thread of `outputs` holds, -DTILE=rows in shared memory. Points and neurons are lifted, x~ = (x / sqrt d, 1, 0, ...) and
// u = (w, b, 0, ...), both of D reals, D a multiple of 4; so z = u . x~.
//
// Several problems ("slots") of one size are served by one launch, blockIdx.z telling them apart: x, y, baseline
// hold all slots, everything else those that are asked for. Each has its own list of points, and its own numbers
// of splits and chunks, which depend on its sizes alone; partial sums are added in their order. So the result
// depends neither on the card nor on what else is in the launch.
//
// A thread holds one row in registers (points in `outputs`, neurons in `sums`) and meets the others in shared
// memory, where all threads of a warp read the same address: four reals a read, 4 EACH multiply-adds in `outputs`
// and 8 in `sums`.

#define THREADS 128

typedef REAL real;

static __device__ real pull(real z, real sharpness, real end) {
  const real gap = real(1) - z;
  if (!(gap > -end)) return 0;
#if LOSS == 0
  return 1;
#elif LOSS == 1
  return real(0.5) * (real(1) + tanh(real(0.5) * sharpness * gap));
#else
  return gap;
#endif
}

// partial[offsets[request] + split count + p] = sum over the neurons n of this split of beta_n relu(z_pn).
extern "C" __global__ void outputs(const int* slots, const int* counts, const int* splits, const int* points,
                                   int capacity, const long long* offsets, long long total, int width, const real* x,
                                   const real* weight, const real* output, real* partial) {
  __shared__ __align__(16) real tile[TILE * DIM];
  __shared__ real betas[TILE];
  const int request = blockIdx.z, split = blockIdx.y;
  const int count = counts[request], first_point = blockIdx.x * THREADS * EACH;
  if (split >= splits[request] || first_point >= count) return;
  real row[EACH][DIM], sum[EACH];
  for (int e = 0; e < EACH; ++e) {
    const int p = first_point + e * THREADS + threadIdx.x;
    const long long point = points[(long long)request * capacity + (p < count ? p : 0)];
    const real* source = x + (slots[request] * total + point) * DIM;
    for (int k = 0; k < DIM; ++k) row[e][k] = source[k];
    sum[e] = 0;
  }
  const int begin = (long long)split * width / splits[request];
  const int end = (long long)(split + 1) * width / splits[request];
  for (int first = begin; first < end; first += TILE) {
    const int here = end - first < TILE ? end - first : TILE;
    const long long neuron = (long long)request * width + first;
    __syncthreads();
    for (int i = threadIdx.x; i < here * DIM; i += THREADS) tile[i] = weight[neuron * DIM + i];
    if (threadIdx.x < here) betas[threadIdx.x] = output[neuron + threadIdx.x];
    __syncthreads();
    for (int n = 0; n < here; ++n) {
      real z[EACH];
      for (int e = 0; e < EACH; ++e) z[e] = 0;
#pragma unroll
      for (int k = 0; k < DIM; ++k) {
        const real w = tile[n * DIM + k];
        for (int e = 0; e < EACH; ++e) z[e] += w * row[e][k];
      }
      for (int e = 0; e < EACH; ++e) sum[e] += betas[n] * (z[e] > 0 ? z[e] : real(0));
    }
  }
  for (int e = 0; e < EACH; ++e) {
    const int p = first_point + e * THREADS + threadIdx.x;
    if (p < count) partial[offsets[request] + (long long)split * count + p] = sum[e];
  }
}

// F = scale (f - f_0) and force = y A(y F) / P.
extern "C" __global__ void forces(const int* slots, const int* counts, const int* splits, const int* points,
                                  int capacity, const long long* offsets, long long total, int width, real scale,
                                  real sharpness, real reach, const real* y, const real* baseline, const real* partial,
                                  real* predictor, real* force) {
  const int request = blockIdx.z, p = blockIdx.x * THREADS + threadIdx.x;
  if (p >= counts[request]) return;
  real f = 0;
  for (int s = 0; s < splits[request]; ++s) f += partial[offsets[request] + (long long)s * counts[request] + p];
  const long long at = (long long)request * capacity + p, point = slots[request] * total + points[at];
  const real value = scale * (f / real(width) - baseline[point]);
  predictor[at] = value;
  force[at] = y[point] * pull(y[point] * value, sharpness, reach) / real(total);
}

// sums[request, chunk, k, n] = sum over the points p of this chunk of force_p 1[z_pn > 0] x~_pk, and of
// force_p relu(z_pn) at k = D.
extern "C" __global__ void sums(const int* slots, const int* counts, const int* chunks, const int* points,
                                int capacity, int most, long long total, int width, const real* x,
                                const real* force, const real* weight, real* result) {
  __shared__ __align__(16) real tile[TILE * DIM];
  __shared__ real pulls[TILE];
  const int request = blockIdx.z, chunk = blockIdx.y;
  if (chunk >= chunks[request]) return;
  const int neuron = blockIdx.x * THREADS + threadIdx.x;
  const bool real_one = neuron < width;
  real row[DIM], sum[DIM], output_sum = 0;
  const real* source = weight + ((long long)request * width + (real_one ? neuron : 0)) * DIM;
  for (int k = 0; k < DIM; ++k) {
    row[k] = source[k];
    sum[k] = 0;
  }
  const int begin = (long long)chunk * counts[request] / chunks[request];
  const int end = (long long)(chunk + 1) * counts[request] / chunks[request];
  for (int first = begin; first < end; first += TILE) {
    const int here = end - first < TILE ? end - first : TILE;
    const long long at = (long long)request * capacity + first;
    __syncthreads();
    for (int i = threadIdx.x; i < here * DIM; i += THREADS)
      tile[i] = x[(slots[request] * total + points[at + i / DIM]) * DIM + i % DIM];
    if (threadIdx.x < here) pulls[threadIdx.x] = force[at + threadIdx.x];
    __syncthreads();
    for (int p = 0; p < here; ++p) {
      const real pulled = pulls[p];
      if (pulled == 0) continue;  // the same for all threads of the block
      real z = 0;
#pragma unroll
      for (int k = 0; k < DIM; ++k) z += row[k] * tile[p * DIM + k];
      const real felt = z > 0 ? pulled : real(0);
      output_sum += felt * z;
#pragma unroll
      for (int k = 0; k < DIM; ++k) sum[k] += felt * tile[p * DIM + k];
    }
  }
  if (!real_one) return;
  const long long place = ((long long)request * most + chunk) * (DIM + 1);
  for (int k = 0; k < DIM; ++k) result[(place + k) * width + neuron] = sum[k];
  result[(place + DIM) * width + neuron] = output_sum;
}

// velocity[request, k, n]: the chunks' sums added up; beta_n times that for k < D.
extern "C" __global__ void collect(const int* chunks, int most, int width, const real* output, const real* sums,
                                   real* velocity) {
  const int request = blockIdx.z, k = blockIdx.y, neuron = blockIdx.x * THREADS + threadIdx.x;
  if (neuron >= width) return;
  real total = 0;
  for (int c = 0; c < chunks[request]; ++c)
    total += sums[(((long long)request * most + c) * (DIM + 1) + k) * width + neuron];
  const real factor = k < DIM ? output[(long long)request * width + neuron] : real(1);
  velocity[((long long)request * (DIM + 1) + k) * width + neuron] = factor * total;
}
