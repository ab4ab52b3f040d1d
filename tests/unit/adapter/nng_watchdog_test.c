/* SPDX-License-Identifier: Apache-2.0
 *
 * What NNG 1.5.2 dies of, and that it is back: listeners killed by a reset during the greeting, a dialer killed likewise. A newer
 * NNG does not die; there the tests show that nothing is disturbed. */
#include "nng_fixture.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <nng/protocol/reqrep0/req.h>

/* A broker of little brain: answers each request with its own text, counts what else comes. */
struct echo { struct rig *rig; pthread_t thread; atomic_bool is_stopping; atomic_uint frames, ups, downs; };

static void *
echo_run(void *arg)
{
    struct echo *echo = arg;
    struct fo_transport *t = echo->rig->transport;
    struct fo_input in;

    while (!atomic_load(&echo->is_stopping)) {
        if (fo_inbox_take(echo->rig->inbox, &in, 1, 20000) == 0)
            continue;
        if (in.kind == FO_INPUT_REQUEST)
            t->ops->door_reply(t, in.request, in.msg.body);
        atomic_fetch_add(&echo->frames, in.kind == FO_INPUT_FRAME);
        atomic_fetch_add(&echo->ups, in.kind == FO_INPUT_LINK_UP);
        atomic_fetch_add(&echo->downs, in.kind == FO_INPUT_LINK_DOWN);
        t->ops->msg_free(t, &in.msg);
    }
    return NULL;
}

static void
echo_start(struct echo *echo, struct rig *rig)
{
    *echo = (struct echo){ .rig = rig };
    assert_int_equal(pthread_create(&echo->thread, NULL, echo_run, echo), 0);
}

static void
echo_stop(struct echo *echo)
{
    atomic_store(&echo->is_stopping, true);
    pthread_join(echo->thread, NULL);
}

static void
wait_for(atomic_uint *counter, unsigned at_least)
{
    double begin = seconds();

    while (atomic_load(counter) < at_least && seconds() - begin < PATIENCE_MS / 1000.0)
        sleep_ms(5);
    assert_true(atomic_load(counter) >= at_least);
}

static bool
is_mortal(void)
{
    return strncmp(nng_version(), "1.5.", 4) == 0;
}

/* Kills the listeners on those ports and waits until `count` were revived. Whether NNG dies depends on what comes first, its
 * greeting or the reset, so it takes several attempts now and then. An immortal NNG is only annoyed for a while. */
static void
kill_until_revived(struct rig *rig, const int *ports, unsigned count, const char *what)
{
    uint64_t before = rig_stats(rig).listeners_revived;
    double begin = seconds();

    while (seconds() - begin < 3 * PATIENCE_MS / 1000.0) {
        double attempt = seconds();

        for (unsigned i = 0; i < count; i++)
            connect_fin_rst(ports[i]);
        while (seconds() - attempt < 1.5 && rig_stats(rig).listeners_revived < before + count)
            sleep_ms(5);
        if (!is_mortal()) {
            assert_int_equal(rig_stats(rig).listeners_revived, 0);
            return;
        }
        if (rig_stats(rig).listeners_revived >= before + count) {
            print_message("# %s back after %.0f ms\n", what, (seconds() - attempt) * 1000);
            return;
        }
    }
    fail_msg("%s did not die or is not back", what);
}

/* Asks over the connection that stands; returns the pipe that the answer came by. */
static uint32_t
ask_by_pipe(nng_socket req)
{
    nng_msg *msg;
    uint32_t id;

    assert_int_equal(nng_send(req, "still there?", 12, 0), 0);
    assert_int_equal(nng_recvmsg(req, &msg, 0), 0);
    assert_int_equal(nng_msg_len(msg), 12);
    id = nng_msg_get_pipe(msg).id;
    nng_msg_free(msg);
    return id;
}

static void
kill_the_door(const char *door)
{
    struct rig rig;
    struct echo echo;
    nng_socket before, after;
    char answer[64];
    uint32_t pipe;

    rig_init(&rig);
    rig.config.door = door;
    rig_open(&rig);
    echo_start(&echo, &rig);
    before = req_dial(rig_url(&rig, FO_NNG_DOOR));
    pipe = ask_by_pipe(before);
    for (unsigned round = 1; round <= 3; round++) {
        int port = rig_port(&rig, FO_NNG_DOOR);

        kill_until_revived(&rig, &port, 1, door);
        after = req_dial(rig_url(&rig, FO_NNG_DOOR));
        assert_int_equal(ask(after, "hello", answer, sizeof(answer)), 0);
        assert_string_equal(answer, "hello");
        nng_close(after);
        assert_int_equal(ask_by_pipe(before), pipe);    /* the same connection as ever */
    }
    nng_close(before);
    echo_stop(&echo);
    rig_close(&rig);
}

static void
a_killed_door_is_back_and_its_connections_went_on(void **state)
{
    (void)state;
    kill_the_door("tcp://127.0.0.1:0");
}

static void
a_killed_door_on_all_addresses_is_back(void **state)
{
    (void)state;
    kill_the_door("tcp://0.0.0.0:0");
    kill_the_door("tcp://[::]:0");
}

static void
a_client_that_came_while_the_door_was_dead_is_served(void **state)
{
    struct rig rig;
    struct echo echo;
    nng_socket req;
    char answer[64];

    (void)state;
    rig_init(&rig);
    rig_open(&rig);
    echo_start(&echo, &rig);
    for (unsigned i = 0; i < 5; i++) {
        connect_fin_rst(rig_port(&rig, FO_NNG_DOOR));
        sleep_ms(5);
    }
    req = req_dial(rig_url(&rig, FO_NNG_DOOR));     /* greeted by the dead listener, so it believes itself connected */
    assert_int_equal(nng_socket_set_ms(req, NNG_OPT_REQ_RESENDTIME, 60000), 0);
    assert_int_equal(ask(req, "anybody?", answer, sizeof(answer)), 0);
    assert_string_equal(answer, "anybody?");
    nng_close(req);
    echo_stop(&echo);
    rig_close(&rig);
}

static void
all_listeners_killed_at_once_are_back_and_no_link_went_down(void **state)
{
    struct rig target, source;
    struct echo echo, source_echo;
    struct fo_nng_peer peer = { .index = 1 };
    nng_socket sub;
    int ports[FO_NNG_ENDS];
    char text[64];
    size_t n = sizeof(text);

    (void)state;
    rig_init(&target);
    rig_open(&target);
    echo_start(&echo, &target);
    peer.url = rig_url(&target, FO_NNG_LINK);
    rig_init(&source);
    source.config.peers = &peer;
    source.config.peers_count = 1;
    rig_open(&source);
    echo_start(&source_echo, &source);
    wait_for(&source_echo.ups, FO_LINK_CLASSES);
    sub = sub_dial(rig_url(&target, FO_NNG_FEED), "");
    for (unsigned end = 0; end < FO_NNG_ENDS; end++)
        ports[end] = rig_port(&target, (enum fo_nng_end)end);
    kill_until_revived(&target, ports, FO_NNG_ENDS, "three listeners");
    assert_int_equal(atomic_load(&source_echo.downs), 0);
    for (unsigned cls = 0; cls < FO_LINK_CLASSES; cls++)
        assert_int_equal(source.transport->ops->link_send(source.transport, 1, (enum fo_link_class)cls, FO_SLICE_LIT("frame")), FO_OK);
    wait_for(&echo.frames, FO_LINK_CLASSES);
    target.transport->ops->feed_publish(target.transport, FO_SLICE_LIT("topic "), FO_SLICE_LIT("body"));
    assert_int_equal(nng_recv(sub, text, &n, 0), 0);
    assert_memory_equal(text, "topic body", n);
    nng_close(sub);
    echo_stop(&source_echo);
    rig_close(&source);
    echo_stop(&echo);
    rig_close(&target);
}

/* A socket of our own at any port of 127.0.0.1, not NNG's. */
static int
listen_raw(int *ret_port)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t n = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

/* Another address, the same port: the door's death is not the link's. */
static void
a_killed_door_takes_no_connection_of_its_neighbour_along(void **state)
{
    struct rig target, source;
    struct echo echo, source_echo;
    struct fo_nng_peer peer = { .index = 1 };
    char door[64], link[64];
    int port;

    (void)state;
    close(listen_raw(&port));
    snprintf(door, sizeof(door), "tcp://127.0.0.1:%d", port);
    snprintf(link, sizeof(link), "tcp://127.0.0.2:%d", port);
    rig_init(&target);
    target.config.door = door;
    target.config.link = link;
    rig_open(&target);
    echo_start(&echo, &target);
    peer.url = link;
    rig_init(&source);
    source.config.peers = &peer;
    source.config.peers_count = 1;
    rig_open(&source);
    echo_start(&source_echo, &source);
    wait_for(&source_echo.ups, FO_LINK_CLASSES);
    kill_until_revived(&target, &port, 1, "door");
    for (unsigned cls = 0; cls < FO_LINK_CLASSES; cls++)
        assert_int_equal(source.transport->ops->link_send(source.transport, 1, (enum fo_link_class)cls, FO_SLICE_LIT("frame")), FO_OK);
    wait_for(&echo.frames, FO_LINK_CLASSES);
    assert_int_equal(atomic_load(&source_echo.downs), 0);
    echo_stop(&source_echo);
    rig_close(&source);
    echo_stop(&echo);
    rig_close(&target);
}

static void
a_killed_ipc_door_is_back(void **state)
{
    struct rig rig;
    struct echo echo;
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    char dir[] = "/tmp/fanout-nng-XXXXXX", url[64], answer[64];
    nng_socket req;
    double begin;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(url, sizeof(url), "ipc://%s/door", dir);
    snprintf(to.sun_path, sizeof(to.sun_path), "%s/door", dir);
    rig_init(&rig);
    rig.config.door = url;
    rig_open(&rig);
    echo_start(&echo, &rig);
    for (begin = seconds(); rig_stats(&rig).listeners_revived == 0 && seconds() - begin < (is_mortal() ? PATIENCE_MS / 1000.0 : 1.5); ) {
        double attempt = seconds();
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
        close(fd);
        while (rig_stats(&rig).listeners_revived == 0 && seconds() - attempt < 1.5)
            sleep_ms(5);
    }
    assert_int_equal(rig_stats(&rig).listeners_revived, is_mortal() ? 1 : 0);
    req = req_dial(url);
    assert_int_equal(ask(req, "hello", answer, sizeof(answer)), 0);
    assert_string_equal(answer, "hello");
    nng_close(req);
    echo_stop(&echo);
    rig_close(&rig);
    rmdir(dir);
}

static unsigned
count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned n = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

static void
deaths_leave_no_descriptors_behind(void **state)
{
    struct rig rig;
    struct echo echo;
    unsigned before, after = 0;
    double begin;

    (void)state;
    rig_init(&rig);
    rig_open(&rig);
    echo_start(&echo, &rig);
    nng_close(req_dial(rig_url(&rig, FO_NNG_DOOR)));
    sleep_ms(100);
    before = count_descriptors();
    for (unsigned round = 1; round <= 3; round++) {
        int port = rig_port(&rig, FO_NNG_DOOR);

        kill_until_revived(&rig, &port, 1, "door");
    }
    begin = seconds();
    while ((after = count_descriptors()) > before && seconds() - begin < 2 * PATIENCE_MS / 1000.0)
        sleep_ms(50);
    assert_in_range(after, 0, before);
    echo_stop(&echo);
    rig_close(&rig);
}

static void
a_dialer_killed_by_its_server_is_back(void **state)
{
    struct rig source, target;
    struct echo echo;
    struct fo_nng_peer peer = { .index = 3 };
    char url[64];
    int port, raw = listen_raw(&port);
    double begin = seconds(), killed;

    (void)state;
    snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port);
    peer.url = url;
    rig_init(&source);
    source.config.peers = &peer;
    source.config.peers_count = 1;
    rig_open(&source);
    echo_start(&echo, &source);
    /* As long as a dialer lives it comes again within half a second; a dead one comes when the watchdog has acted. */
    for (struct pollfd p = { .fd = raw, .events = POLLIN }; rig_stats(&source).dialers_redialed < FO_LINK_CLASSES; ) {
        if (poll(&p, 1, 100) == 1)
            fin_rst(accept(raw, NULL, NULL));
        assert_true(seconds() - begin < PATIENCE_MS / 1000.0);
    }
    close(raw);
    rig_init(&target);
    target.config.link = url;
    rig_open(&target);
    killed = seconds();
    wait_for(&echo.ups, FO_LINK_CLASSES);
    print_message("# dialers back after %.0f ms\n", (seconds() - killed) * 1000);
    echo_stop(&echo);
    rig_close(&source);
    rig_close(&target);
}

static void
live_sockets_are_left_alone(void **state)
{
    struct rig rig;
    struct echo echo;
    nng_socket req;
    uint32_t pipe;

    (void)state;
    rig_init(&rig);
    rig_open(&rig);
    echo_start(&echo, &rig);
    req = req_dial(rig_url(&rig, FO_NNG_DOOR));
    pipe = ask_by_pipe(req);
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(ask_by_pipe(req), pipe);
        sleep_ms(10);
    }
    assert_int_equal(rig_stats(&rig).listeners_revived, 0);
    assert_false(rig.transport->ops->feed_has_subscribers(rig.transport));      /* probes are none */
    nng_close(req);
    echo_stop(&echo);
    rig_close(&rig);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_door_is_back_and_its_connections_went_on),
        cmocka_unit_test(a_killed_door_on_all_addresses_is_back),
        cmocka_unit_test(a_client_that_came_while_the_door_was_dead_is_served),
        cmocka_unit_test(all_listeners_killed_at_once_are_back_and_no_link_went_down),
        cmocka_unit_test(a_killed_door_takes_no_connection_of_its_neighbour_along),
        cmocka_unit_test(a_killed_ipc_door_is_back),
        cmocka_unit_test(deaths_leave_no_descriptors_behind),
        cmocka_unit_test(a_dialer_killed_by_its_server_is_back),
        cmocka_unit_test(live_sockets_are_left_alone),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
