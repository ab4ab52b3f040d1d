/* SPDX-License-Identifier: Apache-2.0
 *
 * What NNG 1.5.2 dies of, and that it is back: a listener killed by FIN and RST, a dialer killed likewise. With a newer NNG
 * nothing dies, and the tests then show that nothing is disturbed. */
#include "nng_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Another thread answers all requests with the request's own text, and notes what frames come. */
#include <pthread.h>
#include <stdatomic.h>

struct echo { struct rig *rig; pthread_t thread; atomic_bool is_stopping; atomic_uint frames; };

static void *
echo_run(void *arg)
{
    struct echo *echo = arg;
    struct fo_transport *t = echo->rig->transport;
    struct fo_input in;

    while (!atomic_load(&echo->is_stopping)) {
        if (fo_inbox_take(echo->rig->inbox, &in, 1, 20) == 0)
            continue;
        if (in.kind == FO_INPUT_REQUEST)
            t->ops->door_reply(t, in.request, in.msg.body);
        if (in.kind == FO_INPUT_FRAME)
            atomic_fetch_add(&echo->frames, 1);
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

static bool
is_mortal(void)
{
    return strncmp(nng_version(), "1.5.", 4) == 0;
}

/* Waits until that many listeners were revived, or for long enough to see that none needs it. */
static double
wait_revived(struct rig *rig, uint64_t count)
{
    double begin = seconds();

    if (!is_mortal()) {
        sleep_ms(1500);
        assert_int_equal(rig_stats(rig).listeners_revived, 0);
        return 0;
    }
    while (rig_stats(rig).listeners_revived < count && seconds() - begin < PATIENCE_MS / 1000.0)
        sleep_ms(5);
    assert_int_equal(rig_stats(rig).listeners_revived, count);
    return seconds() - begin;
}

static void
a_killed_door_is_back_and_its_connections_went_on(void **state)
{
    struct rig rig;
    struct echo echo;
    nng_socket before, after;
    char answer[64];

    (void)state;
    rig_init(&rig);
    rig_open(&rig);
    echo_start(&echo, &rig);
    before = req_dial(rig_url(&rig, FO_NNG_DOOR));
    assert_int_equal(ask(before, "one", answer, sizeof(answer)), 0);
    for (unsigned round = 1; round <= 3; round++) {
        nng_pipe pipe;
        nng_msg *msg;

        connect_fin_rst(rig_port(&rig, FO_NNG_DOOR));
        print_message("# door back after %.3f s\n", wait_revived(&rig, round));
        after = req_dial(rig_url(&rig, FO_NNG_DOOR));
        assert_int_equal(ask(after, "two", answer, sizeof(answer)), 0);
        assert_string_equal(answer, "two");
        nng_close(after);
        /* The old connection: the request arrives by the same pipe as ever. */
        assert_int_equal(nng_send(before, "three", 5, 0), 0);
        assert_int_equal(nng_recvmsg(before, &msg, 0), 0);
        pipe = nng_msg_get_pipe(msg);
        assert_memory_equal(nng_msg_body(msg), "three", 5);
        nng_msg_free(msg);
        if (round > 1)
            assert_int_equal(pipe.id, *(uint32_t *)*state);
        else
            *state = memcpy(test_malloc(sizeof(uint32_t)), &pipe.id, sizeof(uint32_t));
    }
    test_free(*state);
    nng_close(before);
    echo_stop(&echo);
    rig_close(&rig);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_door_is_back_and_its_connections_went_on),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
