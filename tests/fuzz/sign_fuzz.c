/* SPDX-License-Identifier: BSD-2-Clause */
/* Key files from anybody, the private one and after a zero byte the public one: read or refused
 * with a reason, and what is read signs or says why not. */
#include "gslb-dns/sign/sign.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/sign_fuzz-XXXXXX";

static void remove_folder(void)
{
    static const char *const endings[] = {"private", "key"};
    char path[100];

    for (size_t i = 0; i < COUNT_OF(endings); i++) {
        snprintf(path, sizeof(path), "%s/Kexample.net.+013+55648.%s", folder, endings[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void write_file(const char *ending, const void *bytes, size_t n)
{
    char path[100];
    int fd;

    snprintf(path, sizeof(path), "%s/Kexample.net.+013+55648.%s", folder, ending);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ensure(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
    close(fd);
}

static void use(struct sign_keyring *ring)
{
    static const uint8_t owner[] = "\7example\3net", address[4] = {192, 0, 2, 1};
    struct sign_rdata rdata = {address, sizeof(address)};
    struct sign_rrset r = {.owner = owner, .type = 1, .ttl_s = 60, .rdata = &rdata, .n = 1};
    struct sign_signature out[SIGN_SIGNATURES_MAX];
    struct sign_key_state state;
    struct errors errors = {0};
    struct sign_signer *s = sign_signer_new(ring, 1800000000, (struct place){0}, &errors);
    struct sign_context *c = sign_context_new();

    sign_describe_key(ring, 0, 1800000000, &state);
    ensure((s == NULL) == (errors.n_errors > 0));
    if (s != NULL) {
        ensure(sign_rrset(c, s, &r, out) == 1);
        ensure(sign_is_current(s, &r, out[0].rdata, out[0].n));
        ensure(sign_signer_next_s(s) > 1800000000);
    }
    sign_release(s);
    sign_context_free(c);
    errors_free(&errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static bool is_ready;
    struct sign_policy policy = {.directory = folder, .validity_s = 1209600, .refresh_s = 345600};
    const uint8_t *zero = n > 0 ? memchr(data, 0, n) : NULL;
    size_t n_private = zero != NULL ? (size_t)(zero - data) : n;
    struct errors errors = {0};
    struct sign_keyring *ring;

    if (!is_ready) {
        ensure(mkdtemp(folder) != NULL && atexit(remove_folder) == 0);
        is_ready = true;
    }
    write_file("private", data, n_private);
    write_file("key", zero != NULL ? zero + 1 : data, zero != NULL ? n - n_private - 1 : 0);
    ring = sign_keyring_open("example.net", &policy, (struct place){0}, &errors);
    ensure((ring == NULL) == (errors.n_errors > 0));
    if (ring != NULL)
        use(ring);
    sign_keyring_release(ring);
    errors_free(&errors);
    return 0;
}
