package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"strconv"
	"strings"
	"time"
	"unicode"

	"lodge/internal/fault"
)

// The media types of the log.
const (
	mediaJSON   = "application/json"
	mediaNDJSON = "application/x-ndjson"
	mediaCSV    = "text/csv"
)

// chooseMedia is the media type that a request asks for: by format, else by the
// first of its Accept header that is ours, else JSON.
func chooseMedia(format, accept string) (string, error) {
	switch format {
	case "json":
		return mediaJSON, nil
	case "ndjson":
		return mediaNDJSON, nil
	case "csv":
		return mediaCSV, nil
	case "":
	default:
		return "", fault.InvalidFields(fault.Field{
			Loc: []string{"query", "format"}, Type: "enum", Message: "the format is json, ndjson or csv", Input: format,
		})
	}
	for part := range strings.SplitSeq(accept, ",") {
		media, _, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		switch media {
		case mediaJSON, mediaNDJSON, mediaCSV:
			return media, nil
		}
	}
	return mediaJSON, nil
}

// writer writes records one by one in some format.
type writer interface {
	record(r Record) error
	flush() error
}

func newWriter(media string, w io.Writer) writer {
	if media == mediaCSV {
		return &csvWriter{w: csv.NewWriter(w)}
	}
	return &jsonWriter{w: bufio.NewWriterSize(w, 32<<10)}
}

// export writes all records that the filter leaves, the newest first, row by row.
func (l *Log) export(ctx context.Context, f Filter, media string, to io.Writer) error {
	w := newWriter(media, to)
	if err := l.Stream(ctx, f, w.record); err != nil {
		return err
	}
	if err := w.flush(); err != nil {
		return fmt.Errorf("write the export: %w", err)
	}
	return nil
}

// jsonWriter writes a JSON object a line. Whatever a terminal would obey is escaped.
type jsonWriter struct {
	w   *bufio.Writer
	buf bytes.Buffer
}

func (j *jsonWriter) record(r Record) error {
	j.buf.Reset()
	enc := json.NewEncoder(&j.buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return err
	}
	// Outside of strings JSON has no such characters, so that this only touches strings.
	_, err := j.w.WriteString(escape(strings.TrimSuffix(j.buf.String(), "\n")) + "\n")
	return err
}

func (j *jsonWriter) flush() error { return j.w.Flush() }

// csvWriter writes a line of names, then a line a record.
type csvWriter struct {
	w     *csv.Writer
	begun bool
	cells [16]string
}

func (c *csvWriter) record(r Record) error {
	if err := c.begin(); err != nil {
		return err
	}
	seq := ""
	if r.Seq != 0 {
		seq = strconv.FormatInt(r.Seq, 10)
	}
	c.cells = [...]string{
		r.ID, r.At.Format(time.RFC3339Nano), r.Caller, r.CallerID, r.Credential, r.Action, r.Group, r.Object,
		r.Outcome, r.Rule, r.Detail, r.RequestID, r.Address, seq, r.PrevHash, r.Hash,
	}
	for i := range c.cells {
		c.cells[i] = cell(c.cells[i])
	}
	return c.w.Write(c.cells[:])
}

func (c *csvWriter) begin() error {
	if c.begun {
		return nil
	}
	c.begun = true
	return c.w.Write([]string{
		"id", "at", "caller", "caller_id", "credential", "action", "group", "object",
		"outcome", "rule", "detail", "request_id", "address", "seq", "prev_hash", "hash",
	})
}

func (c *csvWriter) flush() error {
	if err := c.begin(); err != nil {
		return err
	}
	c.w.Flush()
	return c.w.Error()
}

// cell makes a text safe for a spreadsheet, which takes what begins like a formula for one:
// a quote before it says that it is text.
func cell(text string) string {
	text = escape(text)
	if lead := strings.TrimLeft(text, " \u00a0\u3000"); lead != "" && strings.ContainsRune("=+-@|%\uff1d\uff0b\uff0d\uff20", []rune(lead)[0]) {
		return "'" + text
	}
	return text
}

// escape writes control characters, and those that turn the direction of text or
// are not seen, as \u0000: an export must look like what it says.
func escape(text string) string {
	if strings.IndexFunc(text, unseen) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case !unseen(r):
			b.WriteRune(r)
		case r > 0xffff:
			hi, lo := (r-0x10000)>>10+0xd800, (r-0x10000)&0x3ff+0xdc00
			fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func unseen(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
}
