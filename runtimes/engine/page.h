/* page.h - what a worker.transcript has gathered so far; made and filled by
 * page.c, freed with its operation. */
#ifndef ENG_PAGE_H
#define ENG_PAGE_H

struct eng_page;
void eng_page_free(struct eng_page *p);

#endif
