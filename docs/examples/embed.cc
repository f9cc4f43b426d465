// embed.cc - the host in C++11: a class that owns one, errors as exceptions,
// callbacks as std::function. Two hosts live here at once, with their own threads.
// Run it: build/examples/embed build (the folder that has runtimes/ and plugins/).
// docs/embed.md explains it.
#include <yoi.h>

#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <future>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace yoi {

inline yoi_str str(const std::string &s) {
  yoi_str r = {s.data(), s.size()};
  return r;
}

// What the library says went wrong; what() is the public message.
class error : public std::runtime_error {
 public:
  error(yoi_status st, const std::string &what) : std::runtime_error(what), status(st) {}
  const yoi_status status;
};

// Room for an error, and the check of what came back.
class result {
 public:
  result() {
    std::memset(&err_, 0, sizeof err_);
    err_.size = sizeof err_;
    err_.message = message_;
    err_.message_cap = sizeof message_;
    message_[0] = '\0';
  }
  result(const result &) = delete;
  result &operator=(const result &) = delete;
  yoi_error *get() { return &err_; }
  void check(yoi_status st) const {
    if (st != YOI_OK) throw error(st, message_);
  }

 private:
  yoi_error err_;
  char message_[256];
};

class request {
 public:
  explicit request(std::uint32_t op, std::string worker = "", std::string body = "",
                   std::uint32_t flags = 0)
      : worker_(std::move(worker)), body_(std::move(body)) {
    std::memset(&r_, 0, sizeof r_);
    r_.size = sizeof r_;
    r_.op = op;
    r_.flags = flags;
    r_.worker_id = str(worker_);
    r_.body = str(body_);
  }
  request(const request &) = delete;
  request &operator=(const request &) = delete;
  const yoi_request *get() const { return &r_; }

 private:
  std::string worker_, body_;
  yoi_request r_;
};

class host {
 public:
  // Each event; then once with event NULL and how it ended.
  using listener = std::function<void(const yoi_event *, yoi_status)>;

  host(const std::string &config, const std::string &base_dir) {
    result e;
    yoi_embed *made = nullptr;
    e.check(yoi_host_new(config.data(), config.size(), base_dir.c_str(), &made, e.get()));
    host_.reset(made);
    e.check(yoi_host_start(made, e.get()));
  }

  std::string call(const std::string &runtime, const request &req) {
    result e;
    char *text = nullptr;
    std::size_t len = 0;
    e.check(yoi_call_sync(host_.get(), str(runtime), req.get(), &text, &len, e.get()));
    std::unique_ptr<char, void (*)(char *)> owned(text, [](char *t) { yoi_free(t); });
    return std::string(text, len);
  }

  // The listener is called on a thread of the host's, and gone after its last call.
  void watch(const std::string &runtime, const request &req, listener on) {
    result e;
    std::unique_ptr<listener> held(new listener(std::move(on)));
    e.check(yoi_call(host_.get(), str(runtime), req.get(), &host::event, held.get(), nullptr,
                     e.get()));
    held.release(); // event has it from here on
  }

 private:
  struct freed {
    void operator()(yoi_embed *h) const { yoi_host_free(h); }
  };

  // An exception must not leave it: what called it is C.
  static void event(void *ctx, const yoi_event *ev, yoi_status st, const yoi_error *) {
    listener *on = static_cast<listener *>(ctx);
    try {
      (*on)(ev, st);
    } catch (const std::exception &e) {
      std::cerr << "listener: " << e.what() << "\n";
    } catch (...) {
      std::cerr << "listener: threw what is no exception\n";
    }
    if (ev == nullptr) delete on;
  }

  std::unique_ptr<yoi_embed, freed> host_; // freeing it ends its calls
};

} // namespace yoi

static std::string config(const std::string &says) {
  return "{ \"loops\": 1, \"plugin_path\": [\"runtimes\", \"plugins\"],"
         "  \"runtimes\": [{ \"id\": \"local\", \"plugin\": \"dev.yoi.embedded\" }],"
         "  \"models\": [{ \"name\": \"main\", \"plugin\": \"dev.yoi.model-script\","
         "    \"config\": { \"steps\": [{ \"say\": \"" + says + "\" }] } }] }";
}

// Asks a worker of that host; its answer, as it stands in the event.
static std::string answer(yoi::host &host) {
  std::promise<void> ended;
  std::string text;
  host.call("local", yoi::request(YOI_OP_WORKER_CREATE, "", "{\"worker_id\": \"ada\"}"));
  host.watch("local", yoi::request(YOI_OP_WORKER_INPUT, "ada", "{\"content\": \"hello\"}",
                                   YOI_REQ_FOLLOW),
             [&](const yoi_event *ev, yoi_status) {
               if (ev == nullptr)
                 ended.set_value();
               else if (ev->kind == YOI_EVENT_MESSAGE_COMPLETED)
                 text.assign(ev->text.ptr, ev->text.len);
             });
  ended.get_future().wait();
  return text;
}

int main(int argc, char **argv) {
  const std::string base = argc > 1 ? argv[1] : ".";
  try {
    yoi::host first(config("I am the first."), base), second(config("I am the second."), base);
    std::cout << answer(first) << "\n" << answer(second) << "\n";
    first.call("nowhere", yoi::request(YOI_OP_RUNTIME_DESCRIBE));
  } catch (const yoi::error &e) {
    std::cout << "refused: " << e.what() << "\n";
    return e.status == YOI_NOT_FOUND ? EXIT_SUCCESS : EXIT_FAILURE;
  }
  return EXIT_FAILURE;
}
