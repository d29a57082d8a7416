"""The maximum-entropy ensemble of diffeomorphisms in numbers, and the battery that samplers are put through."""
