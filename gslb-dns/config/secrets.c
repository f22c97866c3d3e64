/* SPDX-License-Identifier: BSD-2-Clause */
/* The files of secrets: of cookies, and of session tickets. */
#include "gslb-dns/config/config_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 4096 };

/* Whoever can read a secret can forge what it stands for; whoever can write it, too. */
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

/* A file of secrets: what its lines are, and where they go. */
struct secrets {
    const char *key; /* that names the file */
    struct place place;
    int digits, max;
    size_t n;
    bool (*take)(void *owner, size_t i, struct str line);
    void *owner;
};

static void parse_secrets(struct errors *errors, const char *path, struct str text,
                          struct secrets *s)
{
    struct place at = {.file = path};
    size_t n_before = errors->n_errors;
    struct str line;

    while (next_line(&text, &line)) {
        at.line++;
        if (line.n == 0)
            continue;
        if (s->n == (size_t)s->max)
            errors_add(errors, at,
                       "more than %d secrets: take out those that are not used any more", s->max);
        else if (!s->take(s->owner, s->n, line))
            errors_add(errors, at,
                       "expected a secret of %d hexadecimal digits, as openssl rand -hex %d makes "
                       "it",
                       s->digits, s->digits / 2);
        else
            s->n++;
    }
    at.line = 0;
    if (s->n == 0 && errors->n_errors == n_before)
        errors_add(errors, at, "no secret in it: openssl rand -hex %d makes one", s->digits / 2);
}

static void read_secrets(struct conf *f, const char *path, struct secrets *s, struct errors *errors)
{
    char text[FILE_MAX];
    struct stat st;
    const char *wrong;
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &st) != 0) {
        conf_error(f, s->place, "%s: %s: %s", s->key, path, strerror(errno));
    } else if ((wrong = judge_mode(&st)) != NULL) {
        conf_error(f, s->place, "%s: %s %s", s->key, path, wrong);
    } else if ((n = read(fd, text, sizeof(text))) < 0 || n == (ssize_t)sizeof(text)) {
        conf_error(f, s->place, "%s: %s: %s", s->key, path,
                   n < 0 ? strerror(errno) : "too long to be a file of secrets");
    } else {
        parse_secrets(errors, path, (struct str){text, (size_t)n}, s);
        explicit_bzero(text, sizeof(text));
    }
    if (fd >= 0)
        close(fd);
}

static bool take_cookie_secret(void *owner, size_t i, struct str line)
{
    return cookie_parse_secret(line, &((struct cookie_secrets *)owner)->keys[i]);
}

static bool take_ticket_secret(void *owner, size_t i, struct str line)
{
    struct config_ticket_secrets *secrets = owner;

    return text_parse_hex(line, secrets->secrets[i], sizeof(secrets->secrets[i]));
}

void config_read_secrets(struct conf *f, struct config *c, struct errors *errors)
{
    struct secrets cookies = {.key = "secrets",
                              .place = c->cookies.secrets_place,
                              .digits = COOKIE_SECRET_DIGITS,
                              .max = COOKIE_SECRETS_MAX,
                              .take = take_cookie_secret,
                              .owner = &c->cookies.secrets};
    struct secrets tickets = {.key = "ticket-secrets",
                              .place = c->control.ticket_secrets_place,
                              .digits = 2 * TLS_TICKET_SECRET_BYTES,
                              .max = CONFIG_TICKET_SECRETS_MAX,
                              .take = take_ticket_secret};

    if (c->cookies.secrets_path != NULL) {
        read_secrets(f, c->cookies.secrets_path, &cookies, errors);
        c->cookies.secrets.n = cookies.n;
    }
    if (c->control.ticket_secrets_path != NULL) {
        c->control.ticket_secrets = tls_secret_alloc(sizeof(*c->control.ticket_secrets));
        tickets.owner = c->control.ticket_secrets;
        read_secrets(f, c->control.ticket_secrets_path, &tickets, errors);
        c->control.ticket_secrets->n = tickets.n;
    }
}
