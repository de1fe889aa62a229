// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/cluster/words.hh"

#include <nlohmann/json.hpp>

namespace ckpt {

using Json = nlohmann::json;

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Host, node, boot)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Capture, index, prev, incarnation, durable, empty)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(PastRollback, incarnation, previous, k)
NLOHMANN_JSON_SERIALIZE_ENUM(Stage, {{Stage::idle, "idle"},
                                     {Stage::gather, "gather"},
                                     {Stage::decided, "decided"}})

static void to_json(Json &json, const Place &place) {
    json = {{"group", place.group}, {"node", place.node}};
    if (place.member)
        json["member"] = *place.member;
}

static void from_json(const Json &json, Place &place) {
    json.at("group").get_to(place.group);
    json.at("node").get_to(place.node);
    if (json.contains("member"))
        place.member = json["member"].get<Sn>();
}

static void to_json(Json &json, const GuestGroup &group) {
    json = {{"group", group.id}, {"captures", group.captures}};
    if (group.present)
        json["present"] = *group.present;
}

static void from_json(const Json &json, GuestGroup &group) {
    json.at("group").get_to(group.id);
    json.at("captures").get_to(group.captures);
    if (json.contains("present"))
        group.present = json["present"].get<Sn>();
}

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Decision, incarnation, previous, k, places, unprotected)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Record, stage, incarnation, live, failed, pending, done, places,
                                   history)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Report, host, incarnation, groups)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(NodeRecord, host, name, exempt)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(CatalogueEntry, capture, cut_wall_ns, bytes, frames)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Catalogue, name, incarnation, sn, captured, groups)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(GuestRecord, group, name)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(DoneSeen, host, incarnation)

namespace {

template <typename T> Result<T> decode(const std::string &text, const char *what) {
    try {
        return Json::parse(text).get<T>();
    } catch (const Json::exception &error) {
        return fail(EBADMSG, "cluster: {}: {}", what, error.what());
    }
}

} // namespace

std::string encode(const Record &record) { return Json(record).dump(); }
std::string encode(const Report &report) { return Json(report).dump(); }
std::string encode(const NodeRecord &node) { return Json(node).dump(); }
std::string encode(const Catalogue &catalogue) { return Json(catalogue).dump(); }
std::string encode(const GuestRecord &guest) { return Json(guest).dump(); }
std::string encode_done(const Host &host, Incarnation incarnation) {
    return Json(DoneSeen{host, incarnation}).dump();
}

Result<Record> decode_record(const std::string &text) {
    return decode<Record>(text, "the recovery record");
}
Result<Report> decode_report(const std::string &text) { return decode<Report>(text, "a report"); }
Result<NodeRecord> decode_node(const std::string &text) {
    return decode<NodeRecord>(text, "a node's record");
}
Result<Catalogue> decode_catalogue(const std::string &text) {
    return decode<Catalogue>(text, "a node's catalogue");
}
Result<GuestRecord> decode_guest(const std::string &text) {
    return decode<GuestRecord>(text, "a guest's record");
}
Result<DoneSeen> decode_done(const std::string &text) {
    return decode<DoneSeen>(text, "the end of a recovery");
}

} // namespace ckpt
