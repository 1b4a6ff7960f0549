// NCCL by its C interface, found when the first group of GPUs is made: the same program runs where there is no NCCL. c10d's own
// ProcessGroupNCCL would want the headers of CUDA and a libtorch for GPUs to build with.
#include "peers.h"

#include <c10/util/Exception.h>
#include <dlfcn.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

namespace {

// As nccl.h and cuda_runtime_api.h have them.
using Communicator = void*;
using Stream = void*;
struct Id {
  char bytes[128];
};
constexpr int NCCL_SUCCESS = 0;
constexpr int NCCL_IN_PROGRESS = 7;
// Bytes: nothing is summed here, so that no type matters.
constexpr int NCCL_INT8 = 0;
constexpr int CUDA_SUCCESS = 0;
constexpr int CUDA_NOT_READY = 600;
// The one on which libtorch computes, unless told otherwise.
constexpr Stream DEFAULT_STREAM = nullptr;

// A libtorch for GPUs has loaded both libraries, or holds NCCL itself; one whose loader keeps them apart finds NCCL by its name.
void* find(const char* name) {
  static void* const nccl = dlopen("libnccl.so.2", RTLD_NOW | RTLD_GLOBAL);
  void* found = dlsym(RTLD_DEFAULT, name);
  if (found == nullptr && nccl != nullptr) found = dlsym(nccl, name);
  TORCH_CHECK(found != nullptr, "neither libtorch nor libnccl.so.2 has ", name, ": GPUs need a libtorch for CUDA, with its NCCL");
  return found;
}

struct Library {
#define FUNCTION(result, name, ...) result (*name)(__VA_ARGS__) = reinterpret_cast<result (*)(__VA_ARGS__)>(find(#name))
  FUNCTION(int, cudaSetDevice, int);
  FUNCTION(int, cudaStreamQuery, Stream);
  FUNCTION(const char*, cudaGetErrorString, int);
  FUNCTION(int, ncclGetUniqueId, Id*);
  FUNCTION(int, ncclCommInitRank, Communicator*, int, Id, int);
  FUNCTION(int, ncclCommGetAsyncError, Communicator, int*);
  FUNCTION(int, ncclCommAbort, Communicator);
  FUNCTION(int, ncclCommDestroy, Communicator);
  FUNCTION(const char*, ncclGetErrorString, int);
  FUNCTION(int, ncclAllGather, const void*, void*, size_t, int, Communicator, Stream);
  FUNCTION(int, ncclBroadcast, const void*, void*, size_t, int, int, Communicator, Stream);
  FUNCTION(int, ncclSend, const void*, size_t, int, int, Communicator, Stream);
  FUNCTION(int, ncclRecv, void*, size_t, int, int, Communicator, Stream);
  FUNCTION(int, ncclGroupStart);
  FUNCTION(int, ncclGroupEnd);
#undef FUNCTION
};

class Nccl : public Peers {
 public:
  Nccl(int gpu, std::chrono::milliseconds limit) : gpu_(gpu), limit_(limit) { take_gpu(); }

  void connect(const c10::intrusive_ptr<c10d::Store>& store, int rank, int processes) override {
    processes_ = processes;
    Id id{};
    if (rank == 0) {
      check(library_.ncclGetUniqueId(&id));
      store->set("nccl", std::vector<uint8_t>(id.bytes, id.bytes + sizeof id.bytes));
    } else {
      store->wait({"nccl"}, limit_);
      const auto bytes = store->get("nccl");
      TORCH_CHECK(bytes.size() == sizeof id.bytes, "NCCL's id has ", bytes.size(), " bytes");
      std::copy(bytes.begin(), bytes.end(), id.bytes);
    }
    check(library_.ncclCommInitRank(&communicator_, processes, id, rank));
  }

  ~Nccl() override {
    if (communicator_ != nullptr) library_.ncclCommDestroy(communicator_);
  }

  void gather_all(at::Tensor& all, at::Tensor& own) override {
    run([&] {
      return library_.ncclAllGather(own.data_ptr(), all.data_ptr(), own.nbytes(), NCCL_INT8, communicator_, DEFAULT_STREAM);
    });
  }

  void all_to_all(at::Tensor& received, at::Tensor& sent) override {
    const size_t slice = sent.nbytes() / processes_;
    auto* from = static_cast<char*>(sent.data_ptr());
    auto* to = static_cast<char*>(received.data_ptr());
    run([&] {
      check(library_.ncclGroupStart());
      for (int peer = 0; peer < processes_; ++peer) {
        check(library_.ncclSend(from + peer * slice, slice, NCCL_INT8, peer, communicator_, DEFAULT_STREAM));
        check(library_.ncclRecv(to + peer * slice, slice, NCCL_INT8, peer, communicator_, DEFAULT_STREAM));
      }
      return library_.ncclGroupEnd();
    });
  }

  void broadcast(at::Tensor& tensor, int root) override {
    void* bytes = tensor.data_ptr();
    run([&] {
      return library_.ncclBroadcast(bytes, bytes, tensor.nbytes(), NCCL_INT8, root, communicator_, DEFAULT_STREAM);
    });
  }

 private:
  void check(int result) const { TORCH_CHECK(result == NCCL_SUCCESS, "NCCL: ", library_.ncclGetErrorString(result)); }

  // CUDA keeps the GPU by the thread.
  void take_gpu() const {
    const int result = library_.cudaSetDevice(gpu_);
    TORCH_CHECK(result == CUDA_SUCCESS, "CUDA: ", library_.cudaGetErrorString(result));
  }

  template <typename Start>
  void run(Start start) {
    TORCH_CHECK(communicator_ != nullptr, "the group has failed before");
    take_gpu();
    try {
      check(start());
      wait();
    } catch (...) {
      // A kernel that waits for a lost process would hold the GPU for ever.
      library_.ncclCommAbort(communicator_);
      communicator_ = nullptr;
      throw;
    }
  }

  // NCCL has no time limit and tells of a lost process only when asked.
  void wait() const {
    const auto end = std::chrono::steady_clock::now() + limit_;
    for (int state; (state = library_.cudaStreamQuery(DEFAULT_STREAM)) != CUDA_SUCCESS;) {
      TORCH_CHECK(state == CUDA_NOT_READY, "CUDA: ", library_.cudaGetErrorString(state));
      int failure = NCCL_SUCCESS;
      check(library_.ncclCommGetAsyncError(communicator_, &failure));
      if (failure != NCCL_IN_PROGRESS) check(failure);
      TORCH_CHECK(std::chrono::steady_clock::now() < end, "NCCL: timed out after ", limit_.count(), " ms");
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
  }

  const Library library_;
  const int gpu_;
  const std::chrono::milliseconds limit_;
  int processes_ = 0;
  Communicator communicator_ = nullptr;
};

}  // namespace

std::unique_ptr<Peers> nccl_peers(int gpu, std::chrono::milliseconds limit) { return std::make_unique<Nccl>(gpu, limit); }
