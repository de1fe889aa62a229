// SPDX-License-Identifier: GPL-2.0-only
// A real etcd of its own for a test, on loopback.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <csignal>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace ckpt {

class EtcdProcess {
  public:
    EtcdProcess() {
        char name[] = "/tmp/tlckpt-etcd.XXXXXX";
        folder_ = ::mkdtemp(name);
        client_ = free_port();
        peer_ = free_port();
        start();
    }
    ~EtcdProcess() {
        stop(SIGKILL);
        std::filesystem::remove_all(folder_);
    }
    EtcdProcess(const EtcdProcess &) = delete;

    std::string url() const { return "http://127.0.0.1:" + std::to_string(client_); }
    void start() {
        std::string peer = "http://127.0.0.1:" + std::to_string(peer_);
        std::vector<std::string> words{"setpriv", "--pdeathsig", "KILL", "etcd",
                                       "--data-dir=" + folder_ + "/data",
                                       "--listen-client-urls=" + url(),
                                       "--advertise-client-urls=" + url(),
                                       "--listen-peer-urls=" + peer,
                                       "--initial-advertise-peer-urls=" + peer,
                                       "--initial-cluster=default=" + peer,
                                       "--log-level=error"};
        std::vector<char *> argv;
        for (auto &word : words)
            argv.push_back(word.data());
        argv.push_back(nullptr);
        if (::posix_spawnp(&pid_, "setpriv", nullptr, nullptr, argv.data(), environ) != 0)
            std::abort();
    }
    void stop(int signal) {
        if (pid_ <= 0)
            return;
        ::kill(pid_, signal);
        ::waitpid(pid_, nullptr, 0);
        pid_ = -1;
    }

    static int free_port() {
        int fd = ::socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        ::bind(fd, reinterpret_cast<sockaddr *>(&address), size);
        ::getsockname(fd, reinterpret_cast<sockaddr *>(&address), &size);
        ::close(fd);
        return ntohs(address.sin_port);
    }

  private:
    std::string folder_;
    int client_ = 0, peer_ = 0;
    pid_t pid_ = -1;
};

} // namespace ckpt
