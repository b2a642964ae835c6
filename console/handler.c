/* SPDX-License-Identifier: Apache-2.0 */
/* One run of a consumer's shell command: input, output, deadline. */
#include "console/handler.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define POLL_MS 100   /* how late a deadline may come */
#define GRACE_MS 5000 /* between SIGTERM and SIGKILL */

enum { INPUT, OUTPUT, ERRORS, STREAMS };

struct running {
	const struct handler_job *job;
	struct handler_result *result;
	pid_t pid;
	int pidfd;
	int fds[STREAMS]; /* our ends; -1 once closed */
	size_t sent;
	size_t line_len; /* of the line of stderr that is growing */
	char line[HANDLER_LINE_SIZE];
	uint64_t deadline_ms, kill_ms; /* 0: none */
	bool ended;
};

/* ---- start ---- */

static void
close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int
make_pipes(int ours[STREAMS], int theirs[STREAMS])
{
	for (int i = 0; i < STREAMS; i++) {
		int both[2];

		if (pipe2(both, O_CLOEXEC))
			return -1;
		ours[i] = both[i == INPUT];
		theirs[i] = both[i != INPUT];
		fcntl(ours[i], F_SETFL, O_NONBLOCK);
	}
	return 0;
}

/* Returns an errno value. */
static int
spawn(struct running *r, const int theirs[STREAMS])
{
	char *const argv[] = { (char[]){ "sh" }, (char[]){ "-c" },
			       (char *)(uintptr_t)r->job->command, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, defaults;
	int failed;

	sigemptyset(&none);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	posix_spawn_file_actions_init(&files);
	for (int i = 0; i < STREAMS; i++)
		posix_spawn_file_actions_adddup2(&files, theirs[i], i);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP |
						POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &defaults);
	failed = posix_spawn(&r->pid, "/bin/sh", &files, &attr, argv,
			     r->job->env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return failed;
}

static int
start(struct running *r, struct error *err)
{
	int theirs[STREAMS] = { -1, -1, -1 };
	int failed = make_pipes(r->fds, theirs) ? errno : spawn(r, theirs);

	for (int i = 0; i < STREAMS; i++)
		close_fd(&theirs[i]);
	if (failed)
		return error_set(err, "the handler cannot be started: %s",
				 strerror(failed));
	/* Without pidfd (an old kernel) the end is seen by polling. */
	r->pidfd = pidfd_open(r->pid, 0);
	if (r->job->timeout_ms)
		r->deadline_ms = clock_mono_ms() + r->job->timeout_ms;
	return 0;
}

/* ---- streams ---- */

static void
send_input(struct running *r)
{
	const struct span *in = &r->job->input;
	ssize_t n = 0;

	if (r->sent < in->len)
		n = write(r->fds[INPUT], in->at + r->sent, in->len - r->sent);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* A handler that does not read its input is as good as one that
	 * does: EPIPE only ends the sending. */
	if (n > 0)
		r->sent += (size_t)n;
	if (n < 0 || r->sent == in->len)
		close_fd(&r->fds[INPUT]);
}

static void
end_group(struct running *r, int signal_number)
{
	kill(-r->pid, signal_number);
	if (!r->kill_ms)
		r->kill_ms = clock_mono_ms() + GRACE_MS;
}

static void
take_output(struct running *r, const char *data, size_t n)
{
	struct handler_result *result = r->result;

	if (result->end == HANDLER_TOO_LOUD)
		return;
	buf_add(&result->out, data, n);
	if (!result->out.failed &&
	    result->out.len <= r->job->output_limit_bytes)
		return;
	result->end = HANDLER_TOO_LOUD;
	end_group(r, SIGTERM);
}

/* Keeps the newest line that is not empty. */
static void
take_errors(struct running *r, const char *data, size_t n)
{
	if (fwrite(data, 1, n, stderr) != n)
		clearerr(stderr);
	for (size_t i = 0; i < n; i++) {
		if (data[i] == '\n') {
			r->line_len = 0;
		} else if (r->line_len < sizeof(r->line) - 1) {
			r->line[r->line_len++] = data[i];
			r->line[r->line_len] = '\0';
		}
	}
}

static void
read_stream(struct running *r, int stream)
{
	char chunk[16384];
	ssize_t n = read(r->fds[stream], chunk, sizeof(chunk));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		close_fd(&r->fds[stream]);
	else if (stream == OUTPUT)
		take_output(r, chunk, (size_t)n);
	else
		take_errors(r, chunk, (size_t)n);
}

/* ---- the loop ---- */

static void
check_clocks(struct running *r)
{
	uint64_t now = clock_mono_ms();

	if (r->deadline_ms && now >= r->deadline_ms) {
		r->deadline_ms = 0;
		r->result->end = HANDLER_TIMED_OUT;
		end_group(r, SIGTERM);
	}
	if (r->kill_ms && now >= r->kill_ms)
		kill(-r->pid, SIGKILL);
}

static void
check_stop(struct running *r)
{
	if (r->job->stop && handler_stop_check(r->job->stop) > 1)
		end_group(r, SIGKILL);
}

static void
check_end(struct running *r)
{
	int status;

	if (waitpid(r->pid, &status, WNOHANG) != r->pid)
		return;
	r->ended = true;
	if (r->result->end != HANDLER_EXITED)
		return;
	r->result->end =
		WIFSIGNALED(status) ? HANDLER_SIGNALLED : HANDLER_EXITED;
	r->result->code =
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static void
step(struct running *r)
{
	struct pollfd polls[] = {
		{ .fd = r->fds[INPUT], .events = POLLOUT },
		{ .fd = r->fds[OUTPUT], .events = POLLIN },
		{ .fd = r->fds[ERRORS], .events = POLLIN },
		{ .fd = r->pidfd, .events = POLLIN },
		{ .fd = r->job->stop ? r->job->stop->fd : -1,
		  .events = POLLIN },
	};

	if (poll(polls, ARRAY_SIZE(polls), POLL_MS) < 0 && errno != EINTR)
		return;
	if (polls[INPUT].revents)
		send_input(r);
	for (int i = OUTPUT; i <= ERRORS; i++)
		if (polls[i].revents)
			read_stream(r, i);
	check_stop(r);
	check_clocks(r);
	check_end(r);
}

/* What the pipes still hold; a grandchild that keeps them open is not
 * waited for. */
static void
drain(struct running *r)
{
	for (int i = OUTPUT; i <= ERRORS; i++) {
		struct pollfd p = { .fd = r->fds[i], .events = POLLIN };

		while (p.fd >= 0 && poll(&p, 1, 0) > 0) {
			read_stream(r, i);
			p.fd = r->fds[i];
		}
	}
}

static void
finish(struct running *r)
{
	drain(r);
	if (r->kill_ms)
		kill(-r->pid, SIGKILL);
	for (int i = 0; i < STREAMS; i++)
		close_fd(&r->fds[i]);
	close_fd(&r->pidfd);
	memcpy(r->result->last_line, r->line, sizeof(r->line));
}

int
handler_run(const struct handler_job *job, struct handler_result *result,
	    struct error *err)
{
	struct running r = {
		.job = job,
		.result = result,
		.pidfd = -1,
		.fds = { -1, -1, -1 },
	};
	int started = start(&r, err);

	result->end = HANDLER_EXITED;
	while (!started && !r.ended)
		step(&r);
	if (!started)
		finish(&r);
	for (int i = 0; i < STREAMS; i++)
		close_fd(&r.fds[i]);
	return started;
}

void
handler_result_fini(struct handler_result *r)
{
	buf_fini(&r->out);
}

const char *
handler_reason(const struct handler_result *r, char *out, size_t size)
{
	const char *words = r->last_line;

	switch (r->end) {
	case HANDLER_EXITED:
		snprintf(out, size, "exit status %d%s%s", r->code,
			 *words ? ": " : "", words);
		break;
	case HANDLER_SIGNALLED:
		snprintf(out, size, "killed by signal %d (%s)%s%s", r->code,
			 strsignal(r->code), *words ? ": " : "", words);
		break;
	case HANDLER_TIMED_OUT:
		snprintf(out, size, "the handler took too long%s%s",
			 *words ? ": " : "", words);
		break;
	case HANDLER_TOO_LOUD:
		snprintf(out, size, "the handler printed too much");
		break;
	}
	return out;
}

/* ---- signals ---- */

int
handler_stop_open(struct handler_stop *s, struct error *err)
{
	sigset_t set;

	s->count = 0;
	/* A handler that does not read its input must not end us. */
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->fd < 0)
		return error_set(err, "signalfd: %s", strerror(errno));
	return 0;
}

unsigned
handler_stop_check(struct handler_stop *s)
{
	struct signalfd_siginfo info;

	while (s->fd >= 0 && read(s->fd, &info, sizeof(info)) == sizeof(info))
		s->count++;
	return s->count;
}

void
handler_stop_close(struct handler_stop *s)
{
	close_fd(&s->fd);
}
