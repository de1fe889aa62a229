// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/kmod/client.hh"

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include <fmt/format.h>

#include <linux/tlckpt.h>

#include "daemon/kmod/attributes.hh"

namespace ckpt::kmod {

namespace {

template <typename... Args>
tl::unexpected<Failure> failure(int code, fmt::format_string<Args...> format, Args &&...args) {
    return tl::unexpected(Failure{code, fmt::format(format, std::forward<Args>(args)...)});
}

std::string hex(const std::uint8_t *bytes, std::size_t size, const char *separator) {
    std::string text;
    for (std::size_t i = 0; i < size; i++)
        text += fmt::format("{}{:02x}", i ? separator : "", bytes[i]);
    return text;
}

// "00:16:3e" or "00163e"; nothing if it is neither.
std::optional<std::vector<std::uint8_t>> unhex(std::string text) {
    std::erase(text, ':');
    std::vector<std::uint8_t> bytes;
    if (text.size() % 2 || text.find_first_not_of("0123456789abcdefABCDEF") != text.npos)
        return std::nullopt;
    for (std::size_t i = 0; i < text.size(); i += 2)
        bytes.push_back(static_cast<std::uint8_t>(std::stoul(text.substr(i, 2), nullptr, 16)));
    return bytes;
}

Json number_to_json(const Attribute &attribute, std::uint64_t value) {
    if (value < attribute.values.size())
        return attribute.values[value];
    return value;
}

Json address_to_json(int family, const nlattr *from, int size) {
    char text[INET6_ADDRSTRLEN];
    if (nla_len(from) != size || !inet_ntop(family, nla_data(from), text, sizeof(text)))
        return nullptr;
    return text;
}

Json decode(std::span<const Attribute> table, const nlattr *head, int size);

Json decode_one(const Attribute &attribute, const nlattr *from) {
    using enum AttributeType;
    const auto *bytes = static_cast<const std::uint8_t *>(nla_data(from));
    const auto size = static_cast<std::size_t>(nla_len(from));
    std::uint64_t value = 0; // little endian machines only, as Xen's x86 ports
    switch (attribute.type) {
    case u8:
    case u16:
    case u32:
    case u64:
        std::memcpy(&value, bytes, std::min(size, sizeof(value)));
        return number_to_json(attribute, value);
    case flag:
        return true;
    case text:
        return std::string(reinterpret_cast<const char *>(bytes),
                           strnlen(reinterpret_cast<const char *>(bytes), size));
    case mac:
        return hex(bytes, size, ":");
    case ipv4:
        return address_to_json(AF_INET, from, 4);
    case ipv6:
        return address_to_json(AF_INET6, from, 16);
    case binary:
        return hex(bytes, size, "");
    case nest:
        return decode(attribute.nest, static_cast<const nlattr *>(nla_data(from)), nla_len(from));
    }
    return nullptr;
}

// Attributes that the table does not know come from a newer module: left out.
Json decode(std::span<const Attribute> table, const nlattr *head, int size) {
    Json json = Json::object();
    for (const nlattr *at = head; nla_ok(at, size); at = nla_next(at, &size))
        for (const Attribute &attribute : table)
            if (attribute.id == nla_type(at))
                json[attribute.name] = decode_one(attribute, at);
    return json;
}

using Encoded = tl::expected<void, Failure>;

Encoded encode(std::span<const Attribute> table, const Json &json, nl_msg *to);

Encoded encode_number(const Attribute &attribute, const Json &json, nl_msg *to) {
    std::uint64_t value = attribute.values.size();
    if (json.is_string()) {
        for (value = 0; value < attribute.values.size(); value++)
            if (json == attribute.values[value])
                break;
        if (value == attribute.values.size())
            return failure(EINVAL, "\"{}\" is no {}", json.get<std::string>(), attribute.name);
    } else if (json.is_number_unsigned() || json.is_boolean()) {
        value = json.is_boolean() ? json.get<bool>() : json.get<std::uint64_t>();
    } else {
        return failure(EINVAL, "{} is a number", attribute.name);
    }
    static constexpr int kSizes[] = {1, 2, 4, 8};
    int size = kSizes[static_cast<int>(attribute.type)];
    if (size < 8 && value >> (8 * size))
        return failure(ERANGE, "{} {} is out of range", attribute.name, value);
    nla_put(to, attribute.id, size, &value);
    return {};
}

Encoded encode_bytes(const Attribute &attribute, const std::string &digits, nl_msg *to) {
    using enum AttributeType;
    std::uint8_t address[16];
    if (attribute.type == ipv4 || attribute.type == ipv6) {
        if (inet_pton(attribute.type == ipv4 ? AF_INET : AF_INET6, digits.c_str(), address) != 1)
            return failure(EINVAL, "\"{}\" is no {}", digits, attribute.name);
        nla_put(to, attribute.id, attribute.type == ipv4 ? 4 : 16, address);
        return {};
    }
    auto bytes = unhex(digits);
    if (!bytes || (attribute.type == mac && bytes->size() != 6))
        return failure(EINVAL, "\"{}\" is no {}", digits, attribute.name);
    nla_put(to, attribute.id, static_cast<int>(bytes->size()), bytes->data());
    return {};
}

Encoded encode_one(const Attribute &attribute, const Json &json, nl_msg *to) {
    using enum AttributeType;
    switch (attribute.type) {
    case u8:
    case u16:
    case u32:
    case u64:
        return encode_number(attribute, json, to);
    case flag:
        nla_put_flag(to, attribute.id);
        return {};
    case nest: {
        nlattr *start = nla_nest_start(to, attribute.id);
        Encoded done = encode(attribute.nest, json, to);
        nla_nest_end(to, start);
        return done;
    }
    default:
        if (!json.is_string())
            return failure(EINVAL, "{} is a string", attribute.name);
        if (attribute.type != text)
            return encode_bytes(attribute, json.get<std::string>(), to);
        nla_put_string(to, attribute.id, json.get<std::string>().c_str());
        return {};
    }
}

Encoded encode(std::span<const Attribute> table, const Json &json, nl_msg *to) {
    for (const auto &[name, value] : json.items()) {
        const Attribute *found = nullptr;
        for (const Attribute &attribute : table)
            if (attribute.name == name)
                found = &attribute;
        if (!found)
            return failure(EINVAL, "there is no attribute {}", name);
        if (Encoded done = encode_one(*found, value, to); !done)
            return done;
    }
    return {};
}

// What the kernel says in words beside its error number.
std::string extack_text(const nlmsgerr *error, const nlmsghdr *header) {
    if (!(header->nlmsg_flags & NLM_F_ACK_TLVS))
        return {};
    std::size_t skip = sizeof(*error);
    if (!(header->nlmsg_flags & NLM_F_CAPPED))
        skip += NLMSG_ALIGN(error->msg.nlmsg_len) - sizeof(error->msg);
    const auto *head = reinterpret_cast<const nlattr *>(
        static_cast<const std::uint8_t *>(NLMSG_DATA(header)) + skip);
    int size = static_cast<int>(header->nlmsg_len) - NLMSG_HDRLEN - static_cast<int>(skip);
    for (const nlattr *at = head; nla_ok(at, size); at = nla_next(at, &size))
        if (nla_type(at) == NLMSGERR_ATTR_MSG)
            return static_cast<const char *>(nla_data(at));
    return {};
}

struct Exchange {
    Json answers = Json::array();
    bool done = false;
    int error = 0;
    std::string text;
};

int on_message(nl_msg *message, void *context) {
    nlmsghdr *header = nlmsg_hdr(message);
    auto *generic = static_cast<genlmsghdr *>(nlmsg_data(header));
    static_cast<Exchange *>(context)->answers.push_back(
        decode(attributes(), genlmsg_attrdata(generic, 0), genlmsg_attrlen(generic, 0)));
    return NL_OK;
}

int on_end(nl_msg *, void *context) {
    static_cast<Exchange *>(context)->done = true;
    return NL_STOP;
}

int on_error(sockaddr_nl *, nlmsgerr *error, void *context) {
    auto *exchange = static_cast<Exchange *>(context);
    const auto *header = reinterpret_cast<const nlmsghdr *>(
        reinterpret_cast<const std::uint8_t *>(error) - NLMSG_HDRLEN);
    exchange->done = true;
    exchange->error = -error->error;
    exchange->text = extack_text(error, header);
    return NL_STOP;
}

struct MessageDelete {
    void operator()(nl_msg *message) const { nlmsg_free(message); }
};
struct CallbackDelete {
    void operator()(nl_cb *callbacks) const { nl_cb_put(callbacks); }
};
using Message = std::unique_ptr<nl_msg, MessageDelete>;
using Callbacks = std::unique_ptr<nl_cb, CallbackDelete>;

} // namespace

struct Client::State {
    nl_sock *socket = nl_socket_alloc();
    nl_sock *events = nullptr;
    int family = -1;
    ~State() {
        nl_socket_free(socket);
        if (events)
            nl_socket_free(events);
    }
};

Client::Client(std::unique_ptr<State> state) : state_(std::move(state)) {}
Client::Client(Client &&) noexcept = default;
Client &Client::operator=(Client &&) noexcept = default;
Client::~Client() = default;

tl::expected<Client, Failure> Client::open() {
    auto state = std::make_unique<State>();
    int error = genl_connect(state->socket);
    if (error)
        return failure(EIO, "netlink: {}", nl_geterror(error));
    int on = 1;
    setsockopt(nl_socket_get_fd(state->socket), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
    state->family = genl_ctrl_resolve(state->socket, TLCKPT_GENL_NAME);
    if (state->family < 0)
        return failure(ENOENT, "the kernel module is not loaded, try \"modprobe tlckpt\"");
    return Client(std::move(state));
}

tl::expected<Json, Failure> Client::call(std::string_view name, const Json &attributes_in) {
    const Operation *what = operation(name);
    if (!what)
        return failure(EINVAL, "there is no operation {}", name);
    Message message(nlmsg_alloc_size(128 * 1024));
    genlmsg_put(message.get(), NL_AUTO_PORT, NL_AUTO_SEQ, state_->family, 0,
                what->dump ? NLM_F_DUMP : NLM_F_ACK, what->command, TLCKPT_GENL_VERSION);
    if (Encoded done = encode(attributes(), attributes_in, message.get()); !done)
        return tl::unexpected(done.error());
    Exchange exchange;
    Callbacks callbacks(nl_cb_alloc(NL_CB_DEFAULT));
    nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, on_message, &exchange);
    nl_cb_set(callbacks.get(), NL_CB_ACK, NL_CB_CUSTOM, on_end, &exchange);
    nl_cb_set(callbacks.get(), NL_CB_FINISH, NL_CB_CUSTOM, on_end, &exchange);
    nl_cb_err(callbacks.get(), NL_CB_CUSTOM, on_error, &exchange);
    int sent = nl_send_auto(state_->socket, message.get());
    if (sent < 0)
        return failure(EIO, "netlink: {}", nl_geterror(sent));
    while (!exchange.done) {
        int got = nl_recvmsgs(state_->socket, callbacks.get());
        if (got < 0 && !exchange.done)
            return failure(EIO, "netlink: {}", nl_geterror(got));
    }
    if (exchange.error)
        return tl::unexpected(Failure{exchange.error, exchange.text.empty()
                                                          ? std::strerror(exchange.error)
                                                          : exchange.text});
    if (what->dump)
        return exchange.answers;
    return exchange.answers.empty() ? Json::object() : exchange.answers[0];
}

tl::expected<void, Failure> Client::subscribe() {
    state_->events = nl_socket_alloc();
    nl_socket_disable_seq_check(state_->events);
    int group = genl_ctrl_resolve_grp(state_->socket, TLCKPT_GENL_NAME, TLCKPT_MCGRP_EVENTS);
    int error = group < 0 ? group : genl_connect(state_->events);
    if (!error)
        error = nl_socket_add_membership(state_->events, group);
    if (!error)
        error = nl_socket_set_nonblocking(state_->events);
    if (error < 0)
        return failure(EIO, "netlink events: {}", nl_geterror(error));
    return {};
}

int Client::fd() const { return nl_socket_get_fd(state_->events); }

tl::expected<void, Failure>
Client::receive(const std::function<void(std::string_view, const Json &)> &event) {
    struct Context {
        const std::function<void(std::string_view, const Json &)> &event;
    } context{event};
    Callbacks callbacks(nl_cb_alloc(NL_CB_DEFAULT));
    nl_cb_set(
        callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM,
        [](nl_msg *message, void *where) {
            auto *generic = static_cast<genlmsghdr *>(nlmsg_data(nlmsg_hdr(message)));
            if (const Operation *what = operation(generic->cmd))
                static_cast<Context *>(where)->event(
                    what->name, decode(attributes(), genlmsg_attrdata(generic, 0),
                                       genlmsg_attrlen(generic, 0)));
            return static_cast<int>(NL_OK);
        },
        &context);
    // Events answer no request: their sequence numbers mean nothing.
    nl_cb_set(
        callbacks.get(), NL_CB_SEQ_CHECK, NL_CB_CUSTOM,
        [](nl_msg *, void *) { return static_cast<int>(NL_OK); }, nullptr);
    int got = nl_recvmsgs(state_->events, callbacks.get());
    if (got == -NLE_NOMEM)
        return failure(ENOBUFS, "events were lost");
    if (got < 0 && got != -NLE_AGAIN)
        return failure(EIO, "netlink events: {}", nl_geterror(got));
    return {};
}

} // namespace ckpt::kmod
