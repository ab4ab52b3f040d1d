/* SPDX-License-Identifier: Apache-2.0
 *
 * A line that carries nothing any more, without a word: the link is given up and dialed anew within seconds, so that it is back
 * soon after the line is. Here the line is cut by a filter on the peer's end, which drops all that comes, acknowledgements too. */
#include "nng_fixture.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static const uint8_t sub_greeting[8] = { 0, 'S', 'P', 0, 0, 0x21, 0, 0 };

static int
listen_anywhere(int *ret_port)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t n = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

/* As a SUB socket would greet. */
static int
accept_link(int listening)
{
    uint8_t theirs[sizeof(sub_greeting)];
    int fd = accept(listening, NULL, NULL);

    assert_true(fd >= 0);
    assert_int_equal(send(fd, sub_greeting, sizeof(sub_greeting), 0), sizeof(sub_greeting));
    assert_int_equal(recv(fd, theirs, sizeof(theirs), MSG_WAITALL), sizeof(theirs));
    return fd;
}

static void
cut(int fd)
{
    struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog drop = { .len = 1, .filter = &nothing };

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &drop, sizeof(drop)), 0);
}

static void
a_link_over_a_cut_line_is_dialed_anew(void **state)
{
    struct rig rig;
    struct fo_nng_peer peer = { .index = 1 };
    int port, listening = listen_anywhere(&port), fd[FO_LINK_CLASSES];
    char url[64];

    (void)state;
    snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port);
    peer.url = url;
    rig_init(&rig);
    rig.config.peers = &peer;
    rig.config.peers_count = 1;
    rig_open(&rig);
    for (unsigned cls = 0; cls < FO_LINK_CLASSES; cls++)
        fd[cls] = accept_link(listening);
    rig_expect_links_up(&rig, 1);
    for (unsigned cls = 0; cls < FO_LINK_CLASSES; cls++)
        cut(fd[cls]);                   /* both first: they came in either order */
    for (unsigned cls = 0; cls < FO_LINK_CLASSES; cls++)
        assert_int_equal(rig.transport->ops->link_send(rig.transport, 1, (enum fo_link_class)cls, FO_SLICE_LIT("anybody?")), FO_OK);
    for (unsigned cls = 0; cls < FO_LINK_CLASSES; cls++)
        assert_int_equal(rig_expect(&rig, FO_INPUT_LINK_DOWN).peer, 1);
    for (unsigned cls = 0; cls < FO_LINK_CLASSES; cls++) {
        close(fd[cls]);
        fd[cls] = accept_link(listening);
    }
    rig_expect_links_up(&rig, 1);
    for (unsigned cls = 0; cls < FO_LINK_CLASSES; cls++)
        close(fd[cls]);
    close(listening);
    rig_leave(&rig);
}

/* Idle connections of ours to that port that the kernel asks for a sign of life within a minute. */
static unsigned
count_asked(int port)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;
    unsigned n = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        struct sockaddr_in local = { 0 }, remote;
        socklen_t n_local = sizeof(local), n_remote = sizeof(remote), n_int = sizeof(int);
        int fd = atoi(entry->d_name), is_asked = 0, idle_s = 0;

        if (getsockname(fd, (struct sockaddr *)&local, &n_local) == 0 && getpeername(fd, (struct sockaddr *)&remote, &n_remote) == 0 &&
            local.sin_family == AF_INET && ntohs(local.sin_port) == port &&
            getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &is_asked, &n_int) == 0 &&
            getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, &n_int) == 0)
            n += is_asked && idle_s <= 60;
    }
    closedir(dir);
    return n;
}

static void
what_was_accepted_is_asked_for_a_sign_of_life(void **state)
{
    struct rig rig, source;
    struct fo_nng_peer peer = { .index = 1 };

    (void)state;
    rig_init(&rig);
    rig_open(&rig);
    peer.url = rig_url(&rig, FO_NNG_LINK);
    rig_init(&source);
    source.config.peers = &peer;
    source.config.peers_count = 1;
    rig_open(&source);
    rig_expect_links_up(&source, 1);
    assert_int_equal(count_asked(rig_port(&rig, FO_NNG_LINK)), FO_LINK_CLASSES);
    rig_leave(&source);
    rig_leave(&rig);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_link_over_a_cut_line_is_dialed_anew),
        cmocka_unit_test(what_was_accepted_is_asked_for_a_sign_of_life),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
