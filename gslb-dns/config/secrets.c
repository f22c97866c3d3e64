/* SPDX-License-Identifier: BSD-2-Clause */
/* The file of cookie secrets. */
#include "gslb-dns/config/config_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 4096 };

/* Whoever can read a secret can forge cookies; whoever can write it, too. */
static const char *judge_mode(const struct stat *st)
{
    if (!S_ISREG(st->st_mode))
        return "is not a regular file";
    if ((st->st_mode & S_IRWXO) != 0)
        return "can be read or written by everybody: chmod o= it";
    return (st->st_mode & S_IWGRP) != 0 ? "can be written by its group: chmod g-w it" : NULL;
}

/* The next line without comment and blanks; false: there is none. */
static bool next_line(struct str *text, struct str *line)
{
    const char *end, *mark;

    if (text->n == 0)
        return false;
    end = memchr(text->p, '\n', text->n);
    *line = (struct str){text->p, end == NULL ? text->n : (size_t)(end - text->p)};
    text->n -= line->n + (end != NULL);
    text->p += line->n + (end != NULL);
    mark = memchr(line->p, '#', line->n);
    if (mark != NULL)
        line->n = (size_t)(mark - line->p);
    while (line->n > 0 && strchr(" \t\r", line->p[line->n - 1]) != NULL)
        line->n--;
    return true;
}

static void parse_secrets(struct errors *errors, const char *path, struct str text,
                          struct cookie_secrets *out)
{
    struct place at = {.file = path};
    size_t n_before = errors->n_errors;
    struct str line;

    while (next_line(&text, &line)) {
        at.line++;
        if (line.n == 0)
            continue;
        if (out->n == COOKIE_SECRETS_MAX)
            errors_add(errors, at,
                       "more than %d secrets: take out those that are not used any more",
                       COOKIE_SECRETS_MAX);
        else if (!cookie_parse_secret(line, &out->keys[out->n]))
            errors_add(errors, at,
                       "expected a secret of %d hexadecimal digits, as openssl rand -hex 16 makes "
                       "it",
                       COOKIE_SECRET_DIGITS);
        else
            out->n++;
    }
    at.line = 0;
    if (out->n == 0 && errors->n_errors == n_before)
        errors_add(errors, at, "no secret in it: openssl rand -hex 16 makes one");
}

void config_read_secrets(struct conf *f, struct config_cookies *c, struct errors *errors)
{
    char text[FILE_MAX];
    struct stat st;
    const char *wrong;
    ssize_t n;
    int fd;

    if (c->secrets_path == NULL)
        return;
    fd = open(c->secrets_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0) {
        conf_error(f, c->secrets_place, "secrets: %s: %s", c->secrets_path, strerror(errno));
    } else if ((wrong = judge_mode(&st)) != NULL) {
        conf_error(f, c->secrets_place, "secrets: %s %s", c->secrets_path, wrong);
    } else if ((n = read(fd, text, sizeof(text))) < 0 || n == (ssize_t)sizeof(text)) {
        conf_error(f, c->secrets_place, "secrets: %s: %s", c->secrets_path,
                   n < 0 ? strerror(errno) : "too long to be a file of secrets");
    } else {
        parse_secrets(errors, c->secrets_path, (struct str){text, (size_t)n}, &c->secrets);
        explicit_bzero(text, sizeof(text));
    }
    if (fd >= 0)
        close(fd);
}
