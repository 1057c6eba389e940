#pragma once

/// Marks a function that both the host compiler and nvcc's device pass compile. Address maps,
/// schedules and number formats are written once with it, so that the tests, which have no GPU,
/// exercise the very code that the kernels run.
#if defined(__CUDACC__)
#define RIDGE_HOST_DEVICE __host__ __device__
#else
#define RIDGE_HOST_DEVICE
#endif
