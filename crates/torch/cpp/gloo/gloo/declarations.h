// PyTorch's wheels bring the headers of c10d, which include gloo's, and not gloo's. c10d names these types behind pointers,
// so that declarations suffice: nothing of gloo is made, called or laid out here. Where a libtorch has the real headers, they win.
#pragma once
#include <chrono>
#include <string>
#include <vector>

namespace gloo {
class Context {
 public:
  void setTimeout(std::chrono::milliseconds);
};

namespace transport {
class Device;
class UnboundBuffer {
 public:
  virtual ~UnboundBuffer();
};
}  // namespace transport

namespace rendezvous {
class Store {
 public:
  virtual ~Store();
  virtual void set(const std::string&, const std::vector<char>&) = 0;
  virtual std::vector<char> get(const std::string&) = 0;
  virtual void wait(const std::vector<std::string>&) = 0;
  virtual void wait(const std::vector<std::string>&, const std::chrono::milliseconds&);
};
}  // namespace rendezvous
}  // namespace gloo
