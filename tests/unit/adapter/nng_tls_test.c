/* SPDX-License-Identifier: Apache-2.0
 *
 * Mutual TLS: who is let in, who is not, and what a bad file is answered with. Certificates are made by openssl(1). */
#include "nng_fixture.h"

#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/tls/tls.h>
#include <sys/stat.h>

static char dir[] = "/tmp/fanout-tls-XXXXXX";

static const char *
in_dir(const char *name)
{
    static char paths[64][64];
    static unsigned next;
    char *path = paths[next++ % 64];

    snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
    return path;
}

static void
run(const char *command)
{
    char line[512];

    snprintf(line, sizeof(line), "cd %s && { %s ; } >/dev/null 2>&1", dir, command);
    assert_int_equal(system(line), 0);
}

static int
make_certificates(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(dir));
    for (unsigned i = 0; i < 2; i++) {              /* ours, and a stranger's */
        const char *who = i == 0 ? "ours" : "strange";
        char line[400];

        snprintf(line, sizeof(line), "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=%s -keyout %s-ca.key -out %s-ca.pem",
            who, who, who);
        run(line);
        snprintf(line, sizeof(line), "openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout %s.key -out %s.csr", who, who);
        run(line);
        run("printf 'subjectAltName=DNS:localhost' > san");
        snprintf(line, sizeof(line), "openssl x509 -req -in %s.csr -CA %s-ca.pem -CAkey %s-ca.key -CAcreateserial -days 2 -extfile san "
            "-out %s.pem", who, who, who, who);
        run(line);
    }
    run("echo extendedKeyUsage=clientAuth > use && "
        "openssl x509 -req -in ours.csr -CA ours-ca.pem -CAkey ours-ca.key -CAcreateserial -days 2 -extfile use -out clients-only.pem");
    run("chmod 600 *.key && echo nonsense > nonsense && chmod 600 nonsense && cp ours.key open.key && chmod 644 open.key");
    run("sed 's/^[A-Za-z0-9+]\\{64\\}$/AAAA/' ours.pem > damaged.pem");
    return 0;
}

static int
remove_certificates(void **state)
{
    (void)state;
    run("rm -rf \"$PWD\"");
    return 0;
}

static void
use_tls(struct rig *rig)
{
    rig_init(rig);
    rig->config.door = "tls+tcp://localhost:0";
    rig->config.link = "tls+tcp://localhost:0";
    rig->config.tls.cert = in_dir("ours.pem");
    rig->config.tls.key = in_dir("ours.key");
    rig->config.tls.ca = in_dir("ours-ca.pem");
}

/* A REQ client; cert may be null. Dials in the foreground: NNG's error. */
static int
tls_dial(const char *url, const char *cert, const char *key, const char *ca, const char *host, nng_socket *ret_req)
{
    nng_tls_config *config;
    nng_dialer dialer;
    nng_socket req;
    int rv;

    assert_int_equal(nng_tls_config_alloc(&config, NNG_TLS_MODE_CLIENT), 0);
    assert_int_equal(nng_tls_config_ca_file(config, ca), 0);
    assert_int_equal(nng_tls_config_server_name(config, host), 0);
    assert_int_equal(nng_tls_config_auth_mode(config, NNG_TLS_AUTH_MODE_REQUIRED), 0);
    if (cert != NULL) {
        char both[128], line[300];

        snprintf(both, sizeof(both), "%s/both", dir);
        snprintf(line, sizeof(line), "cat %s %s > both", cert, key);
        run(line);
        assert_int_equal(nng_tls_config_cert_key_file(config, both, NULL), 0);
    }
    assert_int_equal(nng_req0_open(&req), 0);
    assert_int_equal(nng_socket_set_ms(req, NNG_OPT_REQ_RESENDTIME, -1), 0);
    assert_int_equal(nng_socket_set_ms(req, NNG_OPT_RECVTIMEO, 1000), 0);
    assert_int_equal(nng_socket_set_ms(req, NNG_OPT_SENDTIMEO, 1000), 0);
    assert_int_equal(nng_dialer_create(&dialer, req, url), 0);
    assert_int_equal(nng_dialer_set_ptr(dialer, NNG_OPT_TLS_CONFIG, config), 0);
    rv = nng_dialer_start(dialer, 0);
    nng_tls_config_free(config);
    *ret_req = req;
    return rv;
}

static void
a_client_with_our_certificate_is_let_in(void **state)
{
    struct rig rig;
    struct fo_input request;
    nng_socket req;
    char answer[64];
    size_t n = sizeof(answer);

    (void)state;
    use_tls(&rig);
    rig_open(&rig);
    assert_int_equal(tls_dial(rig_url(&rig, FO_NNG_DOOR), in_dir("ours.pem"), in_dir("ours.key"), in_dir("ours-ca.pem"), "localhost",
        &req), 0);
    assert_int_equal(nng_send(req, "{}", 2, 0), 0);
    request = rig_expect(&rig, FO_INPUT_REQUEST);
    rig_reply(&rig, &request, "in");
    assert_int_equal(nng_recv(req, answer, &n, 0), 0);
    assert_memory_equal(answer, "in", n);
    rig_leave(&rig);
}

/* Refused: no request of this client reaches the inbox. */
static void
expect_refused(const char *cert, const char *key, const char *ca, const char *host)
{
    struct rig rig;
    struct fo_input in;
    nng_socket req;

    use_tls(&rig);
    rig_open(&rig);
    if (tls_dial(rig_url(&rig, FO_NNG_DOOR), cert, key, ca, host, &req) == 0)
        (void)nng_send(req, "{}", 2, 0);
    assert_int_equal(fo_inbox_take(rig.inbox, &in, 1, 1000000), 0);
    rig_leave(&rig);
}

static void
a_client_without_certificate_is_refused(void **state)
{
    (void)state;
    expect_refused(NULL, NULL, in_dir("ours-ca.pem"), "localhost");
}

static void
a_client_with_a_strangers_certificate_is_refused(void **state)
{
    (void)state;
    expect_refused(in_dir("strange.pem"), in_dir("strange.key"), in_dir("ours-ca.pem"), "localhost");
}

static void
a_server_with_a_strangers_certificate_or_another_name_is_refused(void **state)
{
    (void)state;
    expect_refused(in_dir("ours.pem"), in_dir("ours.key"), in_dir("strange-ca.pem"), "localhost");
    expect_refused(in_dir("ours.pem"), in_dir("ours.key"), in_dir("ours-ca.pem"), "elsewhere");
}

static void
a_link_works_over_tls(void **state)
{
    struct rig from, to;
    struct fo_nng_peer peer = { .index = 2 };
    struct fo_input in;
    uint8_t *frame = test_malloc(60000);

    (void)state;
    use_tls(&to);
    rig_open(&to);
    peer.url = rig_url(&to, FO_NNG_LINK);
    use_tls(&from);
    from.config.peers = &peer;
    from.config.peers_count = 1;
    rig_open(&from);
    rig_expect_links_up(&from, 1);
    memset(frame, 'f', 60000);
    assert_int_equal(from.transport->ops->link_send(from.transport, 2, FO_LINK_BULK, fo_slice_of(frame, 60000)), FO_OK);
    in = rig_expect(&to, FO_INPUT_FRAME);
    assert_int_equal(in.msg.body.n, 60000);
    assert_memory_equal(in.msg.body.p, frame, 60000);
    to.transport->ops->msg_free(to.transport, &in.msg);
    test_free(frame);
    rig_leave(&from);
    rig_leave(&to);
}

static void
expect_fault(const char *cert, const char *key, const char *ca, enum fo_err err, const char *path, const char *file)
{
    struct rig rig;
    struct fo_fault fault = { 0 };

    use_tls(&rig);
    rig.config.tls.cert = cert;
    rig.config.tls.key = key;
    rig.config.tls.ca = ca;
    assert_int_equal(fo_inbox_create(16, &rig.inbox), FO_OK);
    rig.config.inbox = rig.inbox;
    assert_int_equal(fo_nng_transport_open(&rig.config, &rig.transport, &fault), err);
    assert_string_equal(fault.path, path);
    assert_non_null(strstr(fault.text, file));
    fo_inbox_destroy(rig.inbox);
}

static void
a_bad_file_is_named(void **state)
{
    const char *cert = in_dir("ours.pem"), *key = in_dir("ours.key"), *ca = in_dir("ours-ca.pem");

    (void)state;
    expect_fault(in_dir("missing"), key, ca, FO_ERR_CONFIG, "tls.cert", "missing");
    expect_fault(cert, in_dir("nonsense"), ca, FO_ERR_CONFIG, "tls.key", "nonsense");
    expect_fault(cert, key, in_dir("nonsense"), FO_ERR_CONFIG, "tls.ca", "nonsense");
    expect_fault(in_dir("damaged.pem"), key, ca, FO_ERR_CONFIG, "tls.cert", "damaged.pem");
    expect_fault(cert, key, in_dir("damaged.pem"), FO_ERR_CONFIG, "tls.ca", "damaged.pem");
    expect_fault(cert, in_dir("strange.key"), ca, FO_ERR_CONFIG, "tls.key", "strange.key");
    expect_fault(cert, key, in_dir("strange-ca.pem"), FO_ERR_CONFIG, "tls.ca", "strange-ca.pem");
    expect_fault(in_dir("clients-only.pem"), key, ca, FO_ERR_CONFIG, "tls.key", "clients-only.pem, or that may not be used for servers");
    expect_fault(cert, in_dir("open.key"), ca, FO_ERR_PERMISSION, "tls.key", "open.key");
    expect_fault(NULL, NULL, NULL, FO_ERR_CONFIG, "tls", "tls.cert");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_with_our_certificate_is_let_in),
        cmocka_unit_test(a_client_without_certificate_is_refused),
        cmocka_unit_test(a_client_with_a_strangers_certificate_is_refused),
        cmocka_unit_test(a_server_with_a_strangers_certificate_or_another_name_is_refused),
        cmocka_unit_test(a_link_works_over_tls),
        cmocka_unit_test(a_bad_file_is_named),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
