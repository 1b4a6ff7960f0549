// The other processes of a group, over whichever wire.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include <chrono>
#include <memory>

// Made without the others, so that what this machine lacks shows before they wait for it; then connected, once.
//
// Every call returns when the tensor that it fills is whole, or throws: within the time limit, and at once where the
// system tells that a process is gone. After that the group is of no use. Tensors are contiguous.
class Peers {
 public:
  virtual ~Peers() = default;
  // Through a `store` that all `processes` have reached.
  virtual void connect(const c10::intrusive_ptr<c10d::Store>& store, int rank, int processes) = 0;
  // `all` becomes the `own` of every process, in the order of ranks.
  virtual void gather_all(at::Tensor& all, at::Tensor& own) = 0;
  // Both are a slice for each process: slice r of `sent` goes to process r, slice r of `received` comes from it.
  virtual void all_to_all(at::Tensor& received, at::Tensor& sent) = 0;
  virtual void broadcast(at::Tensor& tensor, int root) = 0;
};

std::unique_ptr<Peers> nccl_peers(int gpu, std::chrono::milliseconds limit);
