/* builtin.h - bundles for engines of tests, made of one profile. */
#ifndef TEST_BUILTIN_H
#define TEST_BUILTIN_H

/* A bundle with one profile: {"name", "prompt", "model", "tools": [entries of
 * a bundle's tools], "limits"}. Its prompt is that of the companion. NULL for
 * NULL; to be freed. */
char *builtin_of(const char *profile);
/* The same with the id, revision, workspace and more members, ",\"language\":...". */
char *bundle_of(const char *profile, const char *id, const char *revision, const char *workspace,
                const char *more);

#endif
