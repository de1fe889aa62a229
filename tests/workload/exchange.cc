// SPDX-License-Identifier: GPL-2.0-only
#include "tests/workload/exchange.hh"

#include <algorithm>

#include "tests/workload/mix.hh"

namespace ckpt::workload {

namespace {
constexpr auto kRetry = std::chrono::milliseconds(250);
constexpr auto kConnectPatience = std::chrono::seconds(5);
constexpr std::size_t kMaxBacklog = 1 << 20;
constexpr std::size_t kMaxNewcomers = 16;
constexpr int kDatagramsPerRound = 64;
} // namespace

Exchange::Exchange(const Options &options, std::uint64_t run, EventLog &log,
                   std::function<void()> before_change)
    : options_(options), run_(run), log_(log), before_change_(std::move(before_change)),
      ipv6_(have_ipv6()), nonce_(mix(run)), datagram_(kMaxMessage + 1) {}

Result<std::unique_ptr<Exchange>> Exchange::open(const Options &options, std::uint64_t run,
                                                 EventLog &log,
                                                 std::function<void()> before_change) {
    std::unique_ptr<Exchange> exchange(new Exchange(options, run, log, std::move(before_change)));
    exchange->udp_ = CKPT_TRY(make_socket(SOCK_DGRAM, options.port, exchange->ipv6_));
    exchange->listener_ = CKPT_TRY(make_socket(SOCK_STREAM, options.port, exchange->ipv6_));
    CKPT_CHECK(exchange->add_peers());
    return exchange;
}

Status Exchange::add_peers() {
    for (const PeerOption &option : options_.peers) {
        if (find(option.id))
            return fail(EINVAL, "peer {}: given twice", option.id.text());
        const Address address = CKPT_TRY(parse_address(option.address, kDataPort, ipv6_));
        peers_.push_back(std::make_unique<Peer>(option.id, address, options_.history));
    }
    return {};
}

Peer *Exchange::find(MemberId id) {
    for (const auto &peer : peers_)
        if (peer->id == id)
            return peer.get();
    return nullptr;
}

void Exchange::watch(Poller &poller) {
    poller.watch(udp_.get(), POLLIN, [this](short) { receive_udp(); });
    if (newcomers_.size() < kMaxNewcomers)
        poller.watch(listener_.get(), POLLIN, [this](short) { accept_one(); });
    std::erase_if(newcomers_, [](const RecordStream &stream) { return !stream.open(); });
    for (RecordStream &stream : newcomers_)
        poller.watch(stream.fd(), POLLIN, [this, &stream](short) { read_newcomer(stream); });
    for (const auto &peer : peers_) {
        RecordStream &stream = peer->stream;
        if (!stream.open())
            continue;
        const bool write = stream.connecting() || stream.backlog() > 0;
        poller.watch(stream.fd(), static_cast<short>(POLLIN | (write ? POLLOUT : 0)),
                     [this, &peer](short events) { tcp_ready(*peer, events); });
    }
}

Message Exchange::make(Peer &peer, Kind kind, std::uint64_t counter, std::uint64_t step,
                       unsigned size) {
    Message message;
    message.kind = kind;
    message.from = options_.id;
    message.to = peer.id;
    message.run = run_;
    message.counter = counter;
    message.step = step;
    message.nonce = nonce_;
    message.size = size ? nonce_ % size + 1 : 0;
    if (kind != Kind::hello)
        clock_.count(options_.id);
    message.clock = clock_;
    return message;
}

// A message that a rolled-back member sends anew must not be the one it sent before. The time is
// read before the look for a freeze: what follows the look depends on nothing from outside.
void Exchange::draw_nonce() {
    const std::uint64_t now = wall_clock_ns();
    before_change_();
    nonce_ = mix(nonce_ ^ now);
}

void Exchange::send_udp(std::uint64_t step) {
    if (peers_.empty())
        return;
    draw_nonce();
    Peer &peer = *peers_[udp_turn_++ % peers_.size()];
    Message message = make(peer, Kind::udp, peer.udp_sent.next(), step, options_.udp_size);
    const auto bytes = encode(message);
    peer.udp_sent.sent(message);
    if (sendto(udp_.get(), bytes.data(), bytes.size(), 0, peer.address.get(), peer.address.size) < 0)
        peer.udp_errors++;
}

void Exchange::send_tcp(std::uint64_t step) {
    if (peers_.empty())
        return;
    draw_nonce();
    Peer &peer = *peers_[tcp_turn_++ % peers_.size()];
    if (!peer.met || peer.stream.backlog() > kMaxBacklog) {
        peer.tcp_stalled++;
        return;
    }
    Message message = make(peer, Kind::tcp, peer.tcp_sent.next(), step, options_.tcp_size);
    peer.stream.queue(message);
    peer.tcp_sent.sent(message);
    if (const std::string why = peer.stream.flush(); !why.empty())
        lose(peer, "send: " + why);
}

// False: a message of a run of the peer that is over.
bool Exchange::meet(Peer &peer, const Message &message) {
    if (message.run == peer.run)
        return true;
    if (message.run == peer.previous_run) {
        late_++;
        return false;
    }
    if (peer.run)
        log_.add("peer-restart", peer.id.text(), fmt::format("run {:x}", message.run));
    peer.previous_run = peer.run;
    peer.run = message.run;
    peer.udp_received.forget();
    peer.tcp_received.forget();
    return true;
}

void Exchange::learn(const Message &message) {
    for (const auto &[member, events] : message.clock.entries())
        clock_.merge(member, events);
    clock_.count(options_.id);
}

void Exchange::receive_udp() {
    for (int i = 0; i < kDatagramsPerRound; i++) {
        const ssize_t got = recv(udp_.get(), datagram_.data(), datagram_.size(), 0);
        if (got < 0)
            return;
        before_change_();
        take_datagram(std::span(datagram_).first(static_cast<std::size_t>(got)));
    }
}

void Exchange::take_datagram(std::span<const std::uint8_t> bytes) {
    std::string why;
    const auto message = decode(bytes, why);
    if (!message) {
        corrupt_++;
        log_.add("corrupt", "", fmt::format("datagram of {} bytes: {}", bytes.size(), why));
        return;
    }
    Peer *peer = find(message->from);
    if (!peer || message->to != options_.id || message->kind != Kind::udp) {
        strangers_++;
        return;
    }
    if (!meet(*peer, *message))
        return;
    const std::uint64_t conflicts = peer->udp_received.counts().conflicts;
    peer->udp_received.received(*message);
    if (peer->udp_received.counts().conflicts > conflicts)
        log_.add("conflict", peer->id.text(),
                 fmt::format("udp {} came with two contents", message->counter));
    learn(*message);
}

void Exchange::accept_one() {
    Fd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd)
        newcomers_.emplace_back(std::move(fd));
}

// A newcomer is somebody's stream as soon as its hello is there.
void Exchange::read_newcomer(RecordStream &stream) {
    std::string why = stream.receive();
    const auto hello = stream.take(why);
    if (!hello && why.empty())
        return;
    before_change_();
    Peer *peer = hello ? find(hello->from) : nullptr;
    if (!peer || hello->kind != Kind::hello || hello->to != options_.id || !meet(*peer, *hello)) {
        strangers_++;
        stream = RecordStream();
        return;
    }
    stream.set_connection(hello->connection);
    if (peer->stream.open())
        lose(*peer, "replaced by the peer's new connection");
    use(*peer, std::move(stream));
    stream = RecordStream();
    drain(*peer);
}

void Exchange::use(Peer &peer, RecordStream stream) {
    peer.stream = std::move(stream);
    peer.met = true;
    peer.connections++;
    peer.tcp_sent.start_connection(peer.stream.connection());
    peer.tcp_received.start_connection(peer.stream.connection());
    log_.add("tcp-up", peer.id.text(), fmt::format("connection {:x}", peer.stream.connection()));
}

void Exchange::reconnect(SteadyTime now) {
    for (const auto &peer : peers_) {
        if (options_.id < peer->id || peer->met || now < peer->retry)
            continue;
        peer->retry = now + (peer->stream.open() ? Duration(kRetry) : Duration(kConnectPatience));
        if (peer->stream.open()) { // not answered in time
            peer->stream = RecordStream();
            continue;
        }
        draw_nonce();
        auto stream = RecordStream::connect(peer->address, ipv6_, nonce_);
        if (!stream) {
            peer->retry = now + kRetry;
            continue;
        }
        peer->stream = std::move(*stream);
    }
}

void Exchange::tcp_ready(Peer &peer, short events) {
    RecordStream &stream = peer.stream;
    if (!stream.open())
        return; // lost earlier in this round
    if (stream.connecting()) {
        if (!stream.flush().empty()) { // refused: try again later, nothing was established
            stream = RecordStream();
            peer.retry = steady_now() + kRetry;
            return;
        }
        before_change_();
        Message hello = make(peer, Kind::hello, 0, 0, 0);
        stream.queue(hello);
        use(peer, std::move(stream));
    }
    std::string why;
    if (events & (POLLIN | POLLHUP | POLLERR))
        why = stream.receive();
    drain(peer);
    if (!peer.stream.open())
        return;
    if (why.empty())
        why = peer.stream.flush();
    if (!why.empty())
        lose(peer, why);
}

void Exchange::drain(Peer &peer) {
    std::string why;
    while (true) {
        const bool first = peer.stream.fresh();
        const auto message = peer.stream.take(why);
        if (!message)
            break;
        before_change_();
        if (message->kind != Kind::tcp || message->from != peer.id || message->to != options_.id) {
            why = "a record that does not belong here";
            break;
        }
        meet(peer, *message);
        if (!peer.tcp_received.received_in_order(*message, first)) {
            why = fmt::format("message {} after {}", message->counter,
                              peer.tcp_received.counts().highest);
            break;
        }
        learn(*message);
    }
    if (why.empty())
        return;
    corrupt_++;
    log_.add("corrupt", peer.id.text(), "tcp: " + why);
    lose(peer, why);
}

void Exchange::lose(Peer &peer, const std::string &why) {
    peer.tcp_breaks++;
    peer.met = false;
    log_.add("tcp-break", peer.id.text(),
             fmt::format("{}; connection {:x}, sent {}, received {}", why, peer.stream.connection(),
                         peer.tcp_sent.counts().messages, peer.tcp_received.counts().messages));
    peer.stream = RecordStream();
    peer.retry = steady_now() + kRetry;
}

} // namespace ckpt::workload
