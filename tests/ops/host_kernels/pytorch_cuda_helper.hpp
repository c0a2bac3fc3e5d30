// Stands before mmcv's header of this name, so that its CUDA kernels compile for the
// host: a kernel becomes a plain function, its grid a loop.
#pragma once
#include <float.h>
#include <math.h>
#include <stdint.h>

#include <algorithm>

using std::max;
using std::min;

#define __global__
#define __device__
#define CUDA_1D_KERNEL_LOOP(i, n) for (int i = 0; i < (n); ++i)

template <typename T>
void atomicAdd(T* address, T value) {
  *address += value;
}
