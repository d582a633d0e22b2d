/*
 * The edges and words of state.def as questions.
 * Must not: keep state, look at rows, know why a tree changes.
 * Called by store/inventory_tree.c, store/inventory_job.c and the server.
 */
#include "core/state.h"

#include <errno.h>
#include <string.h>

static const struct {
	unsigned int from, to;
} tree_edges[] = {
#define LARDER_TREE_EDGE(from, to) {LARDER_TREE_##from, LARDER_TREE_##to},
#include "larder/state.def"
#undef LARDER_TREE_EDGE
};

static const char *const tree_words[] = {
#define LARDER_TREE_STATE(name, word, meaning) word,
#include "larder/state.def"
#undef LARDER_TREE_STATE
};

static const char *const outcome_words[] = {
#define LARDER_OUTCOME(name, word, meaning) word,
#include "larder/state.def"
#undef LARDER_OUTCOME
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

bool state_tree_may(unsigned int from, unsigned int to)
{
	for (size_t i = 0; i < COUNT(tree_edges); i++)
		if (tree_edges[i].from == from && tree_edges[i].to == to)
			return true;
	return false;
}

static const char *tree_word(unsigned int state)
{
	return state < COUNT(tree_words) ? tree_words[state] : "?";
}

int state_tree_check(unsigned int from, unsigned int to, struct larder_error *err)
{
	if (state_tree_may(from, to))
		return 0;
	return larder_error_set(err, EINVAL, "a tree cannot go from %s (%u) to %s (%u)",
				tree_word(from), from, tree_word(to), to);
}

static int word_find(const char *const *words, size_t n, const char *word)
{
	for (size_t i = 0; word && i < n; i++)
		if (strcmp(words[i], word) == 0)
			return (int)i;
	return -EINVAL;
}

int state_tree_parse(const char *word)
{
	return word_find(tree_words, COUNT(tree_words), word);
}

int state_outcome_parse(const char *word)
{
	return word_find(outcome_words, COUNT(outcome_words), word);
}
