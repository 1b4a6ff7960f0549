// torch.distributed without Python: c10d's store, its Gloo for CPUs, and what Rust calls.
#include "peers.h"

#include <c10/util/Exception.h>
#include <c10/util/Logging.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <cstdlib>
#include <string>

namespace {

class Gloo : public Peers {
 public:
  // The interfaces are those of GLOO_SOCKET_IFNAME, or that of the machine's name.
  explicit Gloo(std::chrono::milliseconds limit) : options_(c10d::ProcessGroupGloo::Options::create_default(limit)) {}

  void connect(const c10::intrusive_ptr<c10d::Store>& store, int rank, int processes) override {
    group_ = c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, processes, options_);
  }

  void gather_all(at::Tensor& all, at::Tensor& own) override { group_->_allgather_base(all, own)->wait(); }

  void all_to_all(at::Tensor& received, at::Tensor& sent) override {
    // No sizes: equal slices.
    std::vector<int64_t> equal;
    group_->alltoall_base(received, sent, equal, equal)->wait();
  }

  void broadcast(at::Tensor& tensor, int root) override {
    std::vector<at::Tensor> tensors{tensor};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    group_->broadcast(tensors, options)->wait();
  }

 private:
  const c10::intrusive_ptr<c10d::ProcessGroupGloo::Options> options_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
};

struct Group {
  // Process 0 serves it as long as it is in the group: first here, it goes last.
  c10::intrusive_ptr<c10d::Store> store;
  std::unique_ptr<Peers> peers;
};

// Waits until every process has come; `arrived` is how many had, also when the time was up.
void meet(c10d::Store& store, int processes, std::chrono::milliseconds limit, int* arrived) {
  if (store.add("arrived", 1) == processes) store.set("complete", std::string("1"));
  try {
    store.wait({"complete"}, limit);
  } catch (const std::exception&) {
    *arrived = static_cast<int>(store.add("arrived", 0));
    throw;
  }
  *arrived = processes;
}

// c10d writes each of its exceptions into the log too, with pages of addresses. Ours tell the user; who wants to see more sets
// c10d's own variable.
class Quiet {
 public:
  Quiet() {
    if (std::getenv("TORCH_CPP_LOG_LEVEL") == nullptr) FLAGS_caffe2_log_level = c10::GLOG_FATAL;
  }
  ~Quiet() { FLAGS_caffe2_log_level = level_; }
  Quiet(const Quiet&) = delete;

 private:
  const int level_ = FLAGS_caffe2_log_level;
};

thread_local std::string refusal;

// Exceptions end here: 0, or 1 and a reason.
template <typename Action>
int attempt(Action action) {
  const Quiet quiet;
  try {
    action();
    return 0;
  } catch (const c10::Error& error) {
    refusal = error.what_without_backtrace();
  } catch (const std::exception& error) {
    refusal = error.what();
  } catch (...) {
    refusal = "unknown";
  }
  return 1;
}

}  // namespace

extern "C" {

// Why the last call of this thread that returned 1 failed; valid until its next one.
const char* captioning_group_refusal() { return refusal.c_str(); }

// At `host:port` process 0 listens, or, where `restart` is not -1, torchrun's agent, which has so often started the processes
// again. `gpu` is -1 for CPUs. `arrived` is set to 0 when this process is ready to meet the others, and to how many have come
// when they all have, or the time is up.
int captioning_group_join(const char* host, uint16_t port, int restart, int rank, int processes, int gpu, int64_t limit_ms,
                          int* arrived, Group** joined) {
  return attempt([&] {
    const std::chrono::milliseconds limit(limit_ms);
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = rank == 0 && restart < 0;
    options.waitWorkers = false;
    options.timeout = limit;
    // The agent keeps one store for all its starts, and things of its own in it.
    const auto prefix = restart < 0 ? "captioning" : "/worker/attempt_" + std::to_string(restart) + "/captioning";
    auto group = std::make_unique<Group>();
    if (gpu < 0) {
      group->peers = std::make_unique<Gloo>(limit);
    } else {
      group->peers = nccl_peers(gpu, limit);
    }
    *arrived = 0;
    group->store = c10::make_intrusive<c10d::PrefixStore>(prefix, c10::make_intrusive<c10d::TCPStore>(host, options));
    meet(*group->store, processes, limit, arrived);
    group->peers->connect(group->store, rank, processes);
    *joined = group.release();
  });
}

int captioning_group_gather_all(Group* group, at::Tensor* all, at::Tensor* own) {
  return attempt([&] { group->peers->gather_all(*all, *own); });
}

int captioning_group_all_to_all(Group* group, at::Tensor* received, at::Tensor* sent) {
  return attempt([&] { group->peers->all_to_all(*received, *sent); });
}

int captioning_group_broadcast(Group* group, at::Tensor* tensor, int root) {
  return attempt([&] { group->peers->broadcast(*tensor, root); });
}

void captioning_group_leave(Group* group) { delete group; }
}
