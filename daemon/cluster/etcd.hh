// SPDX-License-Identifier: GPL-2.0-only
// etcd by its v3 JSON gateway: the only user of libcurl. Everything runs on the
// control thread's loop; answers come from there, never from inside a call.
//
//   etcd->txn({{key, 0}}, {{key, value, lease}}, [](Result<Etcd::Txn> done) { ... });
//
// A request that finds its endpoint dead is tried at the next one, each once.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "daemon/event_loop.hh"
#include "libckpt/base/result.hh"

namespace ckpt {

struct EtcdOptions {
    std::vector<std::string> endpoints; // "http://10.0.0.1:2379", at least one
    std::string ca_file, cert_file, key_file; // empty: the system's CAs, no certificate
    std::string user, password;               // empty: no authentication
    Duration timeout = std::chrono::seconds(3); // of one request at one endpoint
};

class Etcd {
  public:
    using Json = nlohmann::json;
    using Lease = std::int64_t; // 0: none
    using Revision = std::uint64_t;
    template <typename T> using Done = std::function<void(Result<T>)>;

    struct KeyValue {
        std::string key, value;
        Revision revision = 0; // of its last change
        Lease lease = 0;
        bool deleted = false; // in a watch: the key is gone
    };
    struct Range {
        std::vector<KeyValue> keys;
        Revision revision = 0; // of the store; to watch from the one after
    };
    // `key` was changed last at `revision`; 0: there is no such key.
    struct Compare {
        std::string key;
        Revision revision = 0;
    };
    struct Put {
        std::string key, value;
        Lease lease = 0;
    };
    struct Txn {
        bool succeeded = false; // all comparisons held and everything was put
        Revision revision = 0;
    };
    // Destroyed: the watch ends, nothing more is told.
    class Watch {
      public:
        Watch() = default;
        Watch(Watch &&other) noexcept { *this = std::move(other); }
        Watch &operator=(Watch &&other) noexcept;
        ~Watch() { end(); }
        void end();

      private:
        friend class Etcd;
        Etcd *etcd_ = nullptr; // outlives this
        std::uint64_t id_ = 0;
    };

    // Contacts nobody yet. EINVAL: no endpoint.
    static Result<std::unique_ptr<Etcd>> create(EventLoop &loop, EtcdOptions options);
    // What is under way is given up untold.
    ~Etcd();

    // Errors of all requests: ETIMEDOUT, EHOSTUNREACH and the like: nobody
    // answered, or no majority; EACCES: user, password or rights; EPROTO: an
    // answer that is none of etcd's; ENOENT: no such lease.
    void grant(std::chrono::seconds ttl, Done<Lease> done);
    void keep_alive(Lease lease, Done<std::chrono::seconds> done);
    void revoke(Lease lease, Done<void> done);
    // All keys that begin with `prefix`.
    void range(const std::string &prefix, Done<Range> done);
    void txn(const std::vector<Compare> &compare, const std::vector<Put> &put, Done<Txn> done);
    void put(const Put &put, Done<Txn> done) { txn({}, {put}, std::move(done)); }
    void remove(const std::string &key, Done<void> done);
    // Changes of keys with this prefix from revision `from` on. `ended`, once:
    // the connection broke or `from` is compacted; read all and watch again.
    Watch watch(const std::string &prefix, Revision from,
                std::function<void(const std::vector<KeyValue> &)> changed,
                std::function<void(const Error &)> ended);

  private:
    struct Transfer;
    struct Curl;

    Etcd(EventLoop &loop, EtcdOptions options);
    void request(const char *path, Json body, Done<Json> done);
    std::uint64_t start(std::unique_ptr<Transfer> transfer);
    void launch(Transfer &transfer);
    void act(int fd, int events);
    void pump();
    bool pump_streams();
    void finished(std::uint64_t id, int curl_code);
    void stream_finished(std::unique_ptr<Transfer> transfer, int curl_code);
    void authenticate(std::unique_ptr<Transfer> waiting);
    void retry(std::unique_ptr<Transfer> transfer, const Error &error);

    EventLoop &loop_;
    const EtcdOptions options_;
    std::unique_ptr<Curl> curl_;
    std::map<std::uint64_t, std::unique_ptr<Transfer>> transfers_;
    std::uint64_t next_id_ = 1;
    std::size_t endpoint_ = 0; // that answered last
    std::string token_;
};

} // namespace ckpt
