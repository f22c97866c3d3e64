/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside conf: the tree of a file and what its steps share. */
#ifndef COMMON_CONF_INTERNAL_H
#define COMMON_CONF_INTERNAL_H

#include "common/conf/conf.h"

/* NODE_REFUSED: its mistake has been reported, nothing more is said about it. */
enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP, NODE_REFUSED };

struct node {
    enum node_kind kind;
    bool is_plain;         /* a scalar without quotes */
    uint32_t line, column; /* from 1, in characters */
    uint32_t n_children;
    struct str text;        /* of a scalar, terminated */
    const struct node *key; /* when it is a value in a mapping */
    struct node *first;     /* items, or the values of a mapping */
    struct node *next;      /* its next sibling */
};

struct conf {
    struct arena *out;  /* values; outlives this */
    struct arena nodes; /* dies with this */
    const char *path;   /* in out */
    const char *folder; /* absolute */
    char *owned;        /* the file's bytes when conf_open read them */
    struct str text;    /* the same, without a byte order mark */
    size_t *lines;      /* where each line begins; built for the first excerpt */
    size_t n_lines;
    const struct node *root;
    struct errors *errors;
    size_t first_error; /* in errors, of this file */
};

/* tree.c: builds f->root from f->text. */
MUST_USE struct outcome conf_parse_tree(struct conf *f);

/* value.c: one scalar into out, a member of owner. A mistake is reported at node, and out then has
 * its default, or zeros in a list. */
struct outcome conf_store_scalar(struct conf *f, const struct conf_field *field,
                                 const struct node *node, void *out, void *owner);
/* The same from the table's default. */
void conf_store_preset(struct conf *f, const struct conf_field *field, void *out, void *owner);
/* "a duration such as 30s (units …)" */
void conf_describe_kind(const struct conf_field *field, struct text *out);

/* report.c */
struct place conf_place_of(const struct conf *f, const struct node *node);
/* Line and column (from 1) of a byte of the file. */
struct place conf_place_at(struct conf *f, size_t offset);
/* Edits that still look like a slip of the fingers, for a word of n bytes. */
unsigned conf_slip(size_t n);
/* No more excerpts or hints are worth their time. */
bool conf_is_crowded(const struct conf *f);

#endif
