/* SPDX-License-Identifier: Apache-2.0
 *
 * The physical limit of what we promise: as relay.c, but nothing goes on before it is durable, at each of the three; every record is
 * hashed, what is forwarded is signed, and verified where it arrives, which acknowledges it with a signature, verified likewise. No
 * parsing, no ids, no lanes, no cursors, no second try.
 *   relay_promises -l PORT | -c PORT   the source listens for its publisher; a target connects to the source
 *                  -o PORT -n K        outputs: accepts K connections there, then starts
 *                  -d FILE             a ring of zeros, written over, so that a sync writes data alone
 *
 *   link, down: u32 bytes, signature of the records' root, records;  up: u64 records held, their signature */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "load.h"
#include "wire/frame.h"

enum { AT_ONCE_MAX = 1024 * PAYLOAD_BYTES, RING_BYTES = 64 << 20, OUTPUTS_MAX = 8, FRAMES_PER_ACK = 16 };

struct key { unsigned char shown[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES]; };
struct head { uint32_t bytes; unsigned char signature[crypto_sign_BYTES]; };
struct ack { uint64_t records; unsigned char signature[crypto_sign_BYTES]; };

static struct key source, target;
static struct { struct head head; unsigned char records[AT_ONCE_MAX]; } frame;
static int in, out[OUTPUTS_MAX], outputs = 1, ring;
static off_t ring_at;

static void
make_keys(void)
{
    unsigned char seed[crypto_sign_SEEDBYTES] = { 1 };

    if (sodium_init() < 0 || crypto_sign_seed_keypair(source.shown, source.secret, seed) != 0)
        die("no keys");
    seed[0] = 2;
    crypto_sign_seed_keypair(target.shown, target.secret, seed);
}

static void
open_ring(const char *path)
{
    ring = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (ring < 0)
        die("%s: %s", path, strerror(errno));
    for (off_t at = 0; at < RING_BYTES; at += sizeof frame)
        if (pwrite(ring, &frame, sizeof frame, at) != (ssize_t)sizeof frame)
            die("%s: %s", path, strerror(errno));
    if (fsync(ring) != 0)
        die("%s: %s", path, strerror(errno));
}

static void
make_durable(size_t n)
{
    if (ring_at + (off_t)n > RING_BYTES)
        ring_at = 0;
    if (pwrite(ring, &frame, n, ring_at) != (ssize_t)n || fdatasync(ring) != 0)
        die("ring: %s", strerror(errno));
    ring_at += (off_t)n;
}

static void
root_of_frame(unsigned char root[FO_HASH_BYTES])
{
    struct fo_slice record[AT_ONCE_MAX / PAYLOAD_BYTES];
    uint32_t count = frame.head.bytes / PAYLOAD_BYTES;

    for (uint32_t i = 0; i < count; i++)
        record[i] = (struct fo_slice){ frame.records + i * PAYLOAD_BYTES, PAYLOAD_BYTES };
    fo_merkle_root(record, count, root);
}

static void
get_all(int fd, void *to, size_t n)
{
    for (size_t had = 0; had < n;) {
        ssize_t k = read(fd, (char *)to + had, n - had);

        if (k <= 0)
            exit(0);
        had += (size_t)k;
    }
}

static void *
take_acks(void *unused)
{
    struct pollfd from[OUTPUTS_MAX];
    struct ack ack;

    for (int i = 0; i < outputs; i++)
        from[i] = (struct pollfd){ out[i], POLLIN, 0 };
    while (poll(from, (nfds_t)outputs, -1) > 0)
        for (int i = 0; i < outputs; i++) {
            if (from[i].revents == 0)
                continue;
            get_all(out[i], &ack, sizeof ack);
            if (crypto_sign_verify_detached(ack.signature, (unsigned char *)&ack.records, sizeof ack.records, target.shown) != 0)
                die("an ack is forged");
        }
    return unused;
}

/* Whole records, as many as there are. */
static void
be_source(void)
{
    unsigned char root[FO_HASH_BYTES];
    uint64_t durable = 0;
    pthread_t acks;

    pthread_create(&acks, NULL, take_acks, NULL);
    for (;;) {
        ssize_t n = read(in, frame.records, sizeof frame.records);

        if (n <= 0)
            exit(0);
        if (n % PAYLOAD_BYTES != 0) {
            get_all(in, frame.records + n, (size_t)(PAYLOAD_BYTES - n % PAYLOAD_BYTES));
            n += PAYLOAD_BYTES - n % PAYLOAD_BYTES;
        }
        frame.head.bytes = (uint32_t)n;
        root_of_frame(root);
        crypto_sign_detached(frame.head.signature, NULL, root, sizeof root, source.secret);
        make_durable(sizeof frame.head + (size_t)n);
        durable += (uint64_t)n / PAYLOAD_BYTES;
        put_all(in, &durable, sizeof durable);
        for (int i = 0; i < outputs; i++)
            put_all(out[i], &frame, sizeof frame.head + (size_t)n);
    }
}

/* Acks when nothing more has come, or after some frames. */
static void
be_target(void)
{
    unsigned char root[FO_HASH_BYTES];
    struct ack ack = { 0 };

    for (unsigned unacked = 0;;) {
        int waiting = 0;

        get_all(in, &frame.head, sizeof frame.head);
        if (frame.head.bytes > sizeof frame.records)
            die("a frame of %u bytes", frame.head.bytes);
        get_all(in, frame.records, frame.head.bytes);
        root_of_frame(root);
        if (crypto_sign_verify_detached(frame.head.signature, root, sizeof root, source.shown) != 0)
            die("a frame is forged");
        make_durable(sizeof frame.head + frame.head.bytes);
        for (int i = 0; i < outputs; i++)
            put_all(out[i], frame.records, frame.head.bytes);
        ack.records += frame.head.bytes / PAYLOAD_BYTES;
        if (++unacked < FRAMES_PER_ACK && ioctl(in, FIONREAD, &waiting) == 0 && waiting > 0)
            continue;
        crypto_sign_detached(ack.signature, NULL, (unsigned char *)&ack.records, sizeof ack.records, target.secret);
        put_all(in, &ack, sizeof ack);
        unacked = 0;
    }
}

int
main(int argc, char **argv)
{
    int option, at = 0, upstream = 0, output = 0;
    const char *file = NULL;

    while ((option = getopt(argc, argv, "l:c:o:n:d:")) > 0)
        switch (option) {
        case 'l': at = atoi(optarg); break;
        case 'c': upstream = atoi(optarg); break;
        case 'o': output = atoi(optarg); break;
        case 'n': outputs = atoi(optarg); break;
        case 'd': file = optarg; break;
        default: return 2;
        }
    if (outputs < 1 || outputs > OUTPUTS_MAX || file == NULL || (at == 0) == (upstream == 0))
        return 2;
    make_keys();
    open_ring(file);

    int listener = listen_at(output), publishers = at > 0 ? listen_at(at) : -1;

    if (upstream > 0)
        in = dial_soon(upstream);       /* first, so that the chain forms */
    for (int i = 0; i < outputs; i++)
        out[i] = accept_one(listener);
    if (at > 0) {
        in = accept_one(publishers);
        be_source();
    }
    be_target();
}
