/* A player by libmms (which GStreamer and xine stand on): writes the ASF that it reads to standard output.
 *
 *   mms_reader URL [SECONDS]     with SECONDS it seeks there first
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

typedef struct mmsh_s mmsh_t;
typedef off_t mms_off_t;
typedef struct mms_io_s mms_io_t;
/* libmms/mmsh.h wants GLib's headers and nothing of GLib; these are its declarations. */
mmsh_t *mmsh_connect(mms_io_t *io, void *data, const char *url, int bandwidth);
int mmsh_read(mms_io_t *io, mmsh_t *instance, char *data, int len);
int mmsh_time_seek(mms_io_t *io, mmsh_t *instance, double seconds);
int mmsh_get_seekable(mmsh_t *instance);
int mmsh_peek_header(mmsh_t *instance, char *data, int maxsize);
void mmsh_close(mmsh_t *instance);

int main(int count, char **words) {
    static char bytes[65536];
    int got;
    if (count < 2) return 2;
    mmsh_t *session = mmsh_connect(NULL, NULL, words[1], 1 << 30);
    if (session == NULL) {
        fprintf(stderr, "mms_reader: cannot connect to %s\n", words[1]);
        return 1;
    }
    fprintf(stderr, "seekable %d\n", mmsh_get_seekable(session));
    if (count > 2) {
        if (!mmsh_time_seek(NULL, session, atof(words[2]))) {
            fprintf(stderr, "mms_reader: cannot seek\n");
            return 1;
        }
        /* What is read goes on behind the header then. */
        got = mmsh_peek_header(session, bytes, sizeof bytes);
        fwrite(bytes, 1, (size_t)got, stdout);
    }
    while ((got = mmsh_read(NULL, session, bytes, sizeof bytes)) > 0) fwrite(bytes, 1, (size_t)got, stdout);
    mmsh_close(session);
    return 0;
}
