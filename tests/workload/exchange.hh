// SPDX-License-Identifier: GPL-2.0-only
// The messages with the peers, by UDP and TCP: one TCP connection for each pair,
// made by the member with the higher id, made again if it breaks (and said so).
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "libckpt/base/clock.hh"
#include "tests/workload/event_log.hh"
#include "tests/workload/ledger.hh"
#include "tests/workload/options.hh"
#include "tests/workload/poller.hh"
#include "tests/workload/record_stream.hh"

namespace ckpt::workload {

// One peer and all that is known of it.
struct Peer {
    Peer(MemberId who, Address where, std::size_t history)
        : id(who), address(where), udp_sent(history), udp_received(history), tcp_sent(history),
          tcp_received(history) {}
    MemberId id;
    Address address;
    std::uint64_t run = 0;          // of the peer; 0: not heard of yet
    std::uint64_t previous_run = 0; // its messages that come late are dropped
    Ledger udp_sent, udp_received, tcp_sent, tcp_received;
    std::uint64_t udp_errors = 0;  // datagrams the kernel would not send (counted as sent)
    std::uint64_t tcp_stalled = 0; // messages not made, for the stream is down or full
    std::uint64_t tcp_breaks = 0;  // of established connections
    std::uint64_t connections = 0;
    RecordStream stream;
    bool met = false; // the stream has been heard of by both: its end is a break
    SteadyTime retry{};
};

class Exchange {
  public:
    // `before_change` is called when all that a change of state depends on is in hand, right
    // before the change: where a freeze shows, the state is still the frozen one.
    static Result<std::unique_ptr<Exchange>> open(const Options &options, std::uint64_t run,
                                                  EventLog &log,
                                                  std::function<void()> before_change);

    void watch(Poller &poller);
    // Connects what is to be connected; call now and then.
    void reconnect(SteadyTime now);
    // One message to the next peer in turn. `step`: of the working set.
    void send_udp(std::uint64_t step);
    void send_tcp(std::uint64_t step);

    const std::vector<std::unique_ptr<Peer>> &peers() const { return peers_; }
    const VectorClock &clock() const { return clock_; }
    std::uint64_t strangers() const { return strangers_; }
    std::uint64_t corrupt() const { return corrupt_; }
    std::uint64_t late_of_old_run() const { return late_; }

  private:
    Exchange(const Options &options, std::uint64_t run, EventLog &log,
             std::function<void()> before_change);
    Status add_peers();
    Peer *find(MemberId id);
    Message make(Peer &peer, Kind kind, std::uint64_t counter, std::uint64_t step, unsigned size);
    bool meet(Peer &peer, const Message &message);
    void draw_nonce();
    void learn(const Message &message);
    void receive_udp();
    void take_datagram(std::span<const std::uint8_t> bytes);
    void accept_one();
    void read_newcomer(RecordStream &stream);
    void use(Peer &peer, RecordStream stream);
    void tcp_ready(Peer &peer, short events);
    void drain(Peer &peer);
    void lose(Peer &peer, const std::string &why);

    const Options &options_;
    const std::uint64_t run_;
    EventLog &log_;
    std::function<void()> before_change_;
    bool ipv6_;
    Fd udp_;
    Fd listener_;
    std::vector<std::unique_ptr<Peer>> peers_;
    std::list<RecordStream> newcomers_; // accepted, their hello is awaited
    VectorClock clock_;
    std::size_t udp_turn_ = 0;
    std::size_t tcp_turn_ = 0;
    std::uint64_t nonce_;
    std::uint64_t strangers_ = 0; // messages from or for someone else
    std::uint64_t corrupt_ = 0;   // messages with a wrong checksum, by UDP or TCP
    std::uint64_t late_ = 0;
    std::vector<std::uint8_t> datagram_;
};

} // namespace ckpt::workload
