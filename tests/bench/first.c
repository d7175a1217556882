/* The workload of the benchmarks: says when its first instruction ran, and when its last.
 *
 *     first FIFO [MILLISECONDS]
 *
 * CLOCK_MONOTONIC is the same inside and outside of a container that has no time namespace, so the
 * number can be compared with the moment at which somebody asked for the container. A FIFO can be
 * written to in a root file system that is read-only.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void say(int fifo, char what, struct timespec when)
{
	char line[40];
	int length = snprintf(line, sizeof line, "%c %lld\n", what,
			      when.tv_sec * 1000000000LL + when.tv_nsec);

	if (write(fifo, line, (size_t)length) != length)
		_exit(1);
}

int main(int count, char **arguments)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (count < 2)
		return 2;
	int fifo = open(arguments[1], O_WRONLY | O_CLOEXEC);
	if (fifo < 0)
		return 1;
	say(fifo, 'S', now);
	if (count > 2) {
		long milliseconds = atol(arguments[2]);
		struct timespec left = {milliseconds / 1000, milliseconds % 1000 * 1000000};

		nanosleep(&left, NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
		say(fifo, 'E', now);
	}
	_exit(0);
}
