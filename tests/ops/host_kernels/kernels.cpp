// The CUDA kernels that mmcv has no CPU version of, for float32, with C names.
#include "pytorch_cuda_helper.hpp"
#include "roi_pool_cuda_kernel.cuh"
#include "sigmoid_focal_loss_cuda_kernel.cuh"
#include "softmax_focal_loss_cuda_kernel.cuh"

extern "C" {

void roi_pool_forward(int n, const float* input, const float* rois, float* output,
                      int* argmax, int bins_y, int bins_x, float scale, int channels,
                      int height, int width) {
  roi_pool_forward_cuda_kernel<float>(n, input, rois, output, argmax, bins_y, bins_x,
                                      scale, channels, height, width);
}

void roi_pool_backward(int n, const float* grad, const float* rois, const int* argmax,
                       float* grad_input, int bins_y, int bins_x, int channels,
                       int height, int width) {
  roi_pool_backward_cuda_kernel<float>(n, grad, rois, argmax, grad_input, bins_y,
                                       bins_x, channels, height, width);
}

void sigmoid_focal_loss_forward(int n, const float* input, const int64_t* target,
                                const float* weight, float* output, float gamma,
                                float alpha, int classes) {
  sigmoid_focal_loss_forward_cuda_kernel<float>(n, input, target, weight, output, gamma,
                                                alpha, classes);
}

void sigmoid_focal_loss_backward(int n, const float* input, const int64_t* target,
                                 const float* weight, float* grad, float gamma,
                                 float alpha, int classes) {
  sigmoid_focal_loss_backward_cuda_kernel<float>(n, input, target, weight, grad, gamma,
                                                 alpha, classes);
}

void softmax_focal_loss_forward(int n, const float* softmax, const int64_t* target,
                                const float* weight, float* output, float gamma,
                                float alpha, int classes) {
  softmax_focal_loss_forward_cuda_kernel<float>(n, softmax, target, weight, output,
                                                gamma, alpha, classes);
}

void softmax_focal_loss_backward(int n, const float* softmax, const int64_t* target,
                                 const float* weight, float* buff, float* grad,
                                 float gamma, float alpha, int classes) {
  softmax_focal_loss_backward_cuda1_kernel<float>(n, softmax, target, weight, buff,
                                                  gamma, alpha, classes);
  softmax_focal_loss_backward_cuda2_kernel<float>(n * classes, softmax, target, buff,
                                                  grad, classes);
}
}
