// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/cluster/etcd.hh"

#include <array>
#include <charconv>

#include <curl/curl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace ckpt {

namespace {

using Json = nlohmann::json;

// gRPC's codes in an answer's body.
constexpr int kInvalid = 3, kNotFound = 5, kPermission = 7, kUnauthenticated = 16;

std::string base64(std::string_view bytes) {
    static constexpr char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        std::uint32_t group = 0;
        std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
        for (std::size_t j = 0; j < 3; j++)
            group = group << 8 | (j < n ? static_cast<unsigned char>(bytes[i + j]) : 0u);
        for (std::size_t j = 0; j < 4; j++)
            text += j <= n ? digits[group >> (18 - 6 * j) & 63] : '=';
    }
    return text;
}

std::string unbase64(std::string_view text) {
    static const auto values = [] {
        std::array<signed char, 256> table{};
        table.fill(-1);
        for (int i = 0; i < 26; i++) {
            table[static_cast<std::size_t>('A' + i)] = static_cast<signed char>(i);
            table[static_cast<std::size_t>('a' + i)] = static_cast<signed char>(26 + i);
        }
        for (int i = 0; i < 10; i++)
            table[static_cast<std::size_t>('0' + i)] = static_cast<signed char>(52 + i);
        table['+'] = 62;
        table['/'] = 63;
        return table;
    }();
    std::string bytes;
    std::uint32_t group = 0;
    int bits = 0;
    for (unsigned char c : text) {
        if (values[c] < 0)
            continue; // padding
        group = group << 6 | static_cast<std::uint32_t>(values[c]);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes += static_cast<char>(group >> bits & 0xff);
        }
    }
    return bytes;
}

// The key after the last that begins with `prefix`.
std::string prefix_end(std::string prefix) {
    while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xff)
        prefix.pop_back();
    if (!prefix.empty())
        prefix.back() = static_cast<char>(prefix.back() + 1);
    return prefix;
}

// 64-bit numbers come as strings, and zeros not at all.
template <typename T> T number(const Json &json, const char *name) {
    T value = 0;
    if (!json.is_object())
        return value;
    auto found = json.find(name);
    if (found == json.end())
        return value;
    if (found->is_number())
        return found->get<T>();
    if (!found->is_string())
        return value;
    const auto &text = found->get_ref<const std::string &>();
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

std::string bytes(const Json &json, const char *name) {
    auto found = json.find(name);
    return found != json.end() && found->is_string()
               ? unbase64(found->get_ref<const std::string &>())
               : std::string();
}

const Json &member(const Json &json, const char *name) {
    static const Json none;
    auto found = json.is_object() ? json.find(name) : json.end();
    return json.is_object() && found != json.end() ? *found : none;
}

Etcd::KeyValue key_value(const Json &json) {
    return {.key = bytes(json, "key"),
            .value = bytes(json, "value"),
            .revision = number<std::uint64_t>(json, "mod_revision"),
            .lease = number<std::int64_t>(json, "lease")};
}

std::uint64_t revision(const Json &answer) {
    return number<std::uint64_t>(member(answer, "header"), "revision");
}

// A token lives for minutes, and only as long as nobody changes users or roles.
bool is_stale_token(int code, const std::string &text) {
    return code == kUnauthenticated ||
           (code == kInvalid && text.find("auth store is old") != std::string::npos);
}

int errno_of(CURLcode code) {
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return ETIMEDOUT;
    case CURLE_COULDNT_CONNECT:
        return ECONNREFUSED;
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return EACCES;
    default:
        return EHOSTUNREACH;
    }
}

} // namespace

// One HTTP request, over all its tries.
struct Etcd::Transfer {
    const char *path;
    std::string body;
    Done<Json> done;                                   // of a request
    std::function<void(const std::vector<KeyValue> &)> changed; // of a watch
    std::function<void(const Error &)> ended;
    bool is_watch = false;

    CURL *easy = nullptr;
    curl_slist *headers = nullptr;
    std::string received;
    std::string url;
    std::array<char, CURL_ERROR_SIZE> words{};
    std::size_t endpoint = 0, tries = 0;
    bool reauthenticated = false;

    ~Transfer() { reset(); }
    void reset() {
        if (easy)
            curl_easy_cleanup(easy);
        curl_slist_free_all(headers);
        easy = nullptr;
        headers = nullptr;
        received.clear();
    }
    static std::size_t receive(char *data, std::size_t, std::size_t size, void *transfer) {
        static_cast<Transfer *>(transfer)->received.append(data, size);
        return size;
    }
};

// libcurl's multi handle on our loop.
struct Etcd::Curl {
    Etcd &etcd;
    CURLM *multi = curl_multi_init();
    std::map<int, EventLoop::Source> sockets;
    EventLoop::Source timer;

    explicit Curl(Etcd &owner) : etcd(owner) {
        curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
        curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, this);
        curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, timer_wanted);
        curl_multi_setopt(multi, CURLMOPT_TIMERDATA, this);
    }
    ~Curl() { curl_multi_cleanup(multi); }

    static int socket_wanted(CURL *, curl_socket_t fd, int what, void *data, void *) {
        auto *curl = static_cast<Curl *>(data);
        if (what == CURL_POLL_REMOVE) {
            curl->sockets.erase(fd);
            return 0;
        }
        std::uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0u) |
                               (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
        if (auto known = curl->sockets.find(fd); known != curl->sockets.end()) {
            known->second.set_events(events);
            return 0;
        }
        auto source = curl->etcd.loop_.add_fd(fd, events, [curl, fd](std::uint32_t ready) {
            int bits = (ready & EPOLLIN ? CURL_CSELECT_IN : 0) |
                       (ready & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                       (ready & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
            curl->etcd.act(fd, bits);
        });
        if (!source)
            return -1;
        curl->sockets.emplace(fd, std::move(*source));
        return 0;
    }
    // No program that the daemon starts shall keep it open, and the loop shall not
    // watch it longer than it is.
    static curl_socket_t open(void *, curlsocktype, curl_sockaddr *address) {
        return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    }
    static int close(void *data, curl_socket_t fd) {
        static_cast<Curl *>(data)->sockets.erase(fd);
        return ::close(fd);
    }
    static int timer_wanted(CURLM *, long ms, void *data) {
        auto *curl = static_cast<Curl *>(data);
        curl->timer = EventLoop::Source();
        if (ms < 0)
            return 0;
        auto timer = curl->etcd.loop_.add_timer(std::chrono::milliseconds(std::max(ms, 1l)), [curl] {
            curl->timer = EventLoop::Source();
            curl->etcd.act(CURL_SOCKET_TIMEOUT, 0);
        });
        if (!timer)
            return -1;
        curl->timer = std::move(*timer);
        return 0;
    }
};

Result<std::unique_ptr<Etcd>> Etcd::create(EventLoop &loop, EtcdOptions options) {
    if (options.endpoints.empty())
        return fail(EINVAL, "etcd: no endpoint");
    curl_global_init(CURL_GLOBAL_DEFAULT);
    return std::unique_ptr<Etcd>(new Etcd(loop, std::move(options)));
}

Etcd::Etcd(EventLoop &loop, EtcdOptions options)
    : loop_(loop), options_(std::move(options)), curl_(std::make_unique<Curl>(*this)) {}

Etcd::~Etcd() {
    for (auto &[id, transfer] : transfers_)
        if (transfer->easy)
            curl_multi_remove_handle(curl_->multi, transfer->easy);
    transfers_.clear();
}

// --- requests

void Etcd::request(const char *path, Json body, Done<Json> done) {
    auto transfer = std::make_unique<Transfer>();
    transfer->path = path;
    transfer->body = body.dump();
    transfer->done = std::move(done);
    transfer->endpoint = endpoint_;
    if (!options_.user.empty() && token_.empty())
        return authenticate(std::move(transfer));
    start(std::move(transfer));
}

void Etcd::grant(std::chrono::seconds ttl, Done<Lease> done) {
    request("/v3/lease/grant", {{"TTL", ttl.count()}}, [done](Result<Json> answer) {
        if (!answer)
            return done(tl::unexpected(answer.error()));
        auto id = number<Lease>(*answer, "ID");
        done(id ? Result<Lease>(id) : fail(EPROTO, "etcd: lease without an id"));
    });
}

void Etcd::keep_alive(Lease lease, Done<std::chrono::seconds> done) {
    request("/v3/lease/keepalive", {{"ID", std::to_string(lease)}}, [done](Result<Json> answer) {
        if (!answer)
            return done(tl::unexpected(answer.error()));
        auto ttl = number<std::int64_t>(member(*answer, "result"), "TTL");
        if (ttl <= 0)
            return done(fail(ENOENT, "etcd: the lease has run out"));
        done(std::chrono::seconds(ttl));
    });
}

void Etcd::revoke(Lease lease, Done<void> done) {
    request("/v3/lease/revoke", {{"ID", std::to_string(lease)}}, [done](Result<Json> answer) {
        done(answer ? Result<void>() : tl::unexpected(answer.error()));
    });
}

void Etcd::range(const std::string &prefix, Done<Range> done) {
    Json body{{"key", base64(prefix)}, {"range_end", base64(prefix_end(prefix))}};
    request("/v3/kv/range", std::move(body), [done](Result<Json> answer) {
        if (!answer)
            return done(tl::unexpected(answer.error()));
        Range range{{}, ckpt::revision(*answer)};
        for (const Json &one : member(*answer, "kvs"))
            range.keys.push_back(key_value(one));
        done(std::move(range));
    });
}

void Etcd::txn(const std::vector<Compare> &compare, const std::vector<Put> &put, Done<Txn> done) {
    Json body{{"compare", Json::array()}, {"success", Json::array()}};
    for (const Compare &one : compare)
        body["compare"].push_back({{"key", base64(one.key)},
                                   {"target", "MOD"},
                                   {"result", "EQUAL"},
                                   {"mod_revision", std::to_string(one.revision)}});
    for (const Put &one : put)
        body["success"].push_back({{"request_put",
                                    {{"key", base64(one.key)},
                                     {"value", base64(one.value)},
                                     {"lease", std::to_string(one.lease)}}}});
    request("/v3/kv/txn", std::move(body), [done](Result<Json> answer) {
        if (!answer)
            return done(tl::unexpected(answer.error()));
        done(Txn{answer->value("succeeded", false), ckpt::revision(*answer)});
    });
}

void Etcd::remove(const std::string &key, Done<void> done) {
    request("/v3/kv/deleterange", {{"key", base64(key)}}, [done](Result<Json> answer) {
        done(answer ? Result<void>() : tl::unexpected(answer.error()));
    });
}

void Etcd::authenticate(std::unique_ptr<Transfer> waiting) {
    auto transfer = std::make_unique<Transfer>();
    transfer->path = "/v3/auth/authenticate";
    transfer->body = Json{{"name", options_.user}, {"password", options_.password}}.dump();
    transfer->endpoint = endpoint_;
    transfer->reauthenticated = true;
    // std::function wants what can be copied.
    auto later = std::make_shared<std::unique_ptr<Transfer>>(std::move(waiting));
    transfer->done = [this, later](Result<Json> answer) {
        std::unique_ptr<Transfer> then = std::move(*later);
        if (answer && member(*answer, "token").is_string()) {
            token_ = (*answer)["token"];
            then->tries = 0;
            start(std::move(then));
            return;
        }
        Error error = answer ? fail(EPROTO, "etcd: no token in its answer").value()
                             : std::move(answer).error();
        if (then->is_watch)
            then->ended(error);
        else
            then->done(tl::unexpected(error));
    };
    start(std::move(transfer));
}

// --- watches

Etcd::Watch Etcd::watch(const std::string &prefix, Revision from,
                        std::function<void(const std::vector<KeyValue> &)> changed,
                        std::function<void(const Error &)> ended) {
    auto transfer = std::make_unique<Transfer>();
    transfer->path = "/v3/watch";
    transfer->body = Json{{"create_request",
                           {{"key", base64(prefix)},
                            {"range_end", base64(prefix_end(prefix))},
                            {"start_revision", std::to_string(from)}}}}
                         .dump();
    transfer->changed = std::move(changed);
    transfer->ended = std::move(ended);
    transfer->is_watch = true;
    transfer->endpoint = endpoint_;
    Watch watch;
    watch.etcd_ = this;
    watch.id_ = start(std::move(transfer));
    return watch;
}

Etcd::Watch &Etcd::Watch::operator=(Watch &&other) noexcept {
    end();
    etcd_ = std::exchange(other.etcd_, nullptr);
    id_ = other.id_;
    return *this;
}

void Etcd::Watch::end() {
    if (!etcd_)
        return;
    if (auto transfer = etcd_->transfers_.extract(id_)) {
        // Its handle may be in the middle of a callback of ours: the loop lets it go.
        if (transfer.mapped()->easy)
            curl_multi_remove_handle(etcd_->curl_->multi, transfer.mapped()->easy);
    }
    etcd_ = nullptr;
}

// --- transfers

std::uint64_t Etcd::start(std::unique_ptr<Transfer> transfer) {
    std::uint64_t id = next_id_++;
    Transfer &started = *transfer;
    transfers_.emplace(id, std::move(transfer));
    launch(started);
    curl_easy_setopt(started.easy, CURLOPT_PRIVATE, reinterpret_cast<void *>(id));
    curl_multi_add_handle(curl_->multi, started.easy);
    return id;
}

void Etcd::launch(Transfer &transfer) {
    transfer.reset();
    transfer.tries++;
    transfer.endpoint %= options_.endpoints.size();
    transfer.url = options_.endpoints[transfer.endpoint] + transfer.path;
    CURL *easy = transfer.easy = curl_easy_init();
    transfer.headers = curl_slist_append(nullptr, "Content-Type: application/json");
    transfer.headers = curl_slist_append(transfer.headers, "Expect:");
    if (!token_.empty())
        transfer.headers = curl_slist_append(transfer.headers, ("Authorization: " + token_).c_str());
    auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(options_.timeout).count();
    curl_easy_setopt(easy, CURLOPT_URL, transfer.url.c_str());
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer.headers);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, static_cast<long>(transfer.body.size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, transfer.body.c_str());
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, Transfer::receive);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &transfer);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer.words.data());
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1l);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, Curl::open);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, Curl::close);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, curl_.get());
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(ms));
    if (!transfer.is_watch)
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(ms));
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1l);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 5l);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 2l);
    if (!options_.ca_file.empty())
        curl_easy_setopt(easy, CURLOPT_CAINFO, options_.ca_file.c_str());
    if (!options_.cert_file.empty())
        curl_easy_setopt(easy, CURLOPT_SSLCERT, options_.cert_file.c_str());
    if (!options_.key_file.empty())
        curl_easy_setopt(easy, CURLOPT_SSLKEY, options_.key_file.c_str());
}

void Etcd::act(int fd, int events) {
    int running = 0;
    curl_multi_socket_action(curl_->multi, fd, events, &running);
    pump();
}

// What has come. Handlers may start and end transfers, so nothing is kept over a call.
void Etcd::pump() {
    while (pump_streams())
        ;
    int left = 0;
    while (CURLMsg *message = curl_multi_info_read(curl_->multi, &left)) {
        if (message->msg != CURLMSG_DONE)
            continue;
        char *id = nullptr;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &id);
        int code = message->data.result;
        curl_multi_remove_handle(curl_->multi, message->easy_handle);
        finished(reinterpret_cast<std::uint64_t>(id), code);
    }
}

// One line of one watch; false: no whole line is there.
bool Etcd::pump_streams() {
    for (auto &[id, transfer] : transfers_) {
        auto end = transfer->received.find('\n');
        if (!transfer->is_watch || end == std::string::npos)
            continue;
        Json line = Json::parse(transfer->received.substr(0, end), nullptr, false);
        transfer->received.erase(0, end + 1);
        const Json &result = member(line, "result");
        if (result.is_null() || member(result, "canceled") == true) {
            const Json &why = member(member(line, "error"), "message");
            auto ended = transfers_.extract(id);
            curl_multi_remove_handle(curl_->multi, ended.mapped()->easy);
            ended.mapped()->ended(fail(EPIPE, "etcd: the watch was ended: {}",
                                       why.is_string() ? why.get<std::string>()
                                                       : member(result, "cancel_reason").dump())
                                      .value());
            return true;
        }
        endpoint_ = transfer->endpoint;
        std::vector<KeyValue> changes;
        for (const Json &event : member(result, "events")) {
            changes.push_back(key_value(member(event, "kv")));
            changes.back().deleted = member(event, "type") == "DELETE";
        }
        if (!changes.empty()) {
            auto changed = transfer->changed; // the transfer may go in it
            changed(changes);
        }
        return true;
    }
    return false;
}

void Etcd::finished(std::uint64_t id, int curl_code) {
    auto node = transfers_.extract(id);
    if (!node)
        return;
    std::unique_ptr<Transfer> transfer = std::move(node.mapped());
    if (transfer->is_watch)
        return stream_finished(std::move(transfer), curl_code);
    const std::string &endpoint = options_.endpoints[transfer->endpoint];
    if (curl_code != CURLE_OK) {
        auto code = static_cast<CURLcode>(curl_code);
        return retry(std::move(transfer),
                     fail(errno_of(code), "etcd {}: {}", endpoint,
                          transfer->words[0] ? transfer->words.data() : curl_easy_strerror(code))
                         .value());
    }
    long status = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    Json answer = Json::parse(transfer->received, nullptr, false);
    if (status == 200 && answer.is_object()) {
        endpoint_ = transfer->endpoint;
        return transfer->done(std::move(answer));
    }
    const Json &words = member(answer, "message");
    std::string text = words.is_string() ? words.get<std::string>()
                                         : fmt::format("answered with HTTP status {}", status);
    int code = number<int>(answer, "code");
    if (is_stale_token(code, text) && !options_.user.empty() && !transfer->reauthenticated) {
        transfer->reauthenticated = true;
        token_.clear();
        return authenticate(std::move(transfer));
    }
    if (status >= 500)
        return retry(std::move(transfer), fail(EHOSTUNREACH, "etcd {}: {}", endpoint, text).value());
    int error = code == kNotFound                                  ? ENOENT
                : code == kPermission || code == kUnauthenticated ||
                          transfer->path == std::string_view("/v3/auth/authenticate")
                    ? EACCES
                    : EPROTO;
    transfer->done(fail(error, "etcd {}: {}", endpoint, text));
}

void Etcd::retry(std::unique_ptr<Transfer> transfer, const Error &error) {
    if (transfer->tries >= options_.endpoints.size())
        return transfer->done(tl::unexpected(error));
    transfer->endpoint++;
    start(std::move(transfer));
}

void Etcd::stream_finished(std::unique_ptr<Transfer> transfer, int curl_code) {
    if (curl_code != CURLE_OK)
        endpoint_ = (transfer->endpoint + 1) % options_.endpoints.size();
    transfer->ended(fail(EPIPE, "etcd {}: the watch broke: {}",
                         options_.endpoints[transfer->endpoint],
                         curl_code != CURLE_OK
                             ? curl_easy_strerror(static_cast<CURLcode>(curl_code))
                             : "the connection was closed")
                        .value());
}

} // namespace ckpt
