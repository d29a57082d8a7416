// Runs field.cu on the CPU, from the same source, block after block: the threads of a block are coroutines that
// meet at every __syncthreads(). They take turns upwards and downwards, so that a barrier that is missing shows.
//
// Compiled with the options of the device code, and -DUNSYNCHRONISED for the negative control.

#include <ucontext.h>

#include <cmath>
#include <functional>
#include <vector>

using std::tanh;

#define __global__
#define __device__
#define __shared__ static
#define __align__(n) __attribute__((aligned(n)))

struct Index {
  int x, y, z;
};
static Index threadIdx, blockIdx;
static void meet();

#ifdef UNSYNCHRONISED
#define __syncthreads()
#else
#define __syncthreads() meet()
#endif

#include "field.cu"

static ucontext_t scheduler, coroutines[THREADS];
static bool ended[THREADS];
static std::function<void()> body;

static void meet() { swapcontext(&coroutines[threadIdx.x], &scheduler); }

static void enter() {
  body();
  ended[threadIdx.x] = true;
}

static void run_block() {
  static std::vector<std::vector<char>> stacks(THREADS, std::vector<char>(1 << 16));
  for (int t = 0; t < THREADS; ++t) {
    ended[t] = false;
    getcontext(&coroutines[t]);
    coroutines[t].uc_stack.ss_sp = stacks[t].data();
    coroutines[t].uc_stack.ss_size = stacks[t].size();
    coroutines[t].uc_link = &scheduler;
    makecontext(&coroutines[t], enter, 0);
  }
  bool upwards = true, alive = true;
  while (alive) {
    alive = false;
    for (int i = 0; i < THREADS; ++i) {
      const int t = upwards ? i : THREADS - 1 - i;
      if (ended[t]) continue;
      threadIdx = {t, 0, 0};
      swapcontext(&scheduler, &coroutines[t]);
      alive |= !ended[t];
    }
    upwards = !upwards;
  }
}

template <class Kernel, class... Arguments>
static void launch(const int* grid, Kernel kernel, Arguments... arguments) {
  body = [=] { kernel(arguments...); };
  for (blockIdx.z = 0; blockIdx.z < grid[2]; ++blockIdx.z)
    for (blockIdx.y = 0; blockIdx.y < grid[1]; ++blockIdx.y)
      for (blockIdx.x = 0; blockIdx.x < grid[0]; ++blockIdx.x) run_block();
}

extern "C" {
void launch_outputs(const int* grid, const int* slots, const int* counts, const int* splits, const int* points,
                    int capacity, const long long* offsets, long long total, int width, const real* x,
                    const real* weight, const real* output, real* partial) {
  launch(grid, outputs, slots, counts, splits, points, capacity, offsets, total, width, x, weight, output, partial);
}
void launch_forces(const int* grid, const int* slots, const int* counts, const int* splits, const int* points,
                   int capacity, const long long* offsets, long long total, int width, real scale, real sharpness,
                   real reach, const real* y, const real* baseline, const real* partial, real* predictor,
                   real* force) {
  launch(grid, forces, slots, counts, splits, points, capacity, offsets, total, width, scale, sharpness, reach, y,
         baseline, partial, predictor, force);
}
void launch_sums(const int* grid, const int* slots, const int* counts, const int* chunks, const int* points,
                 int capacity, int most, long long total, int width, const real* x, const real* force,
                 const real* weight, real* result) {
  launch(grid, sums, slots, counts, chunks, points, capacity, most, total, width, x, force, weight, result);
}
void launch_collect(const int* grid, const int* chunks, int most, int width, const real* output, const real* sums_,
                    real* velocity) {
  launch(grid, collect, chunks, most, width, output, sums_, velocity);
}
}
