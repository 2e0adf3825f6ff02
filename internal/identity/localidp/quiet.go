package localidp

import (
	"context"
	"log/slog"
	"slices"
)

// quietHandler passes Dex's log on, a level lower, without what people typed: a failed login is no
// error of ours, and whoever types their password into the field above it must not find it in a log.
type quietHandler struct{ slog.Handler }

// typed are the attributes of Dex's log with people's input.
var typed = []string{"user", "username", "email", "preferred_username", "error_description", "groups"}

// maxLogged bounds a text in the log.
const maxLogged = 200

func lower(level slog.Level) slog.Level {
	if level >= slog.LevelError {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// Enabled asks for the level that the record will have.
func (h quietHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.Handler.Enabled(ctx, lower(level))
}

// Handle writes the record down without what was typed.
func (h quietHandler) Handle(ctx context.Context, r slog.Record) error {
	level := lower(r.Level)
	if level < slog.LevelWarn && !h.Handler.Enabled(ctx, level) {
		return nil
	}
	clean := slog.NewRecord(r.Time, level, "identity provider: "+r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		if slices.Contains(typed, a.Key) {
			return true
		}
		if text := a.Value.Resolve().String(); a.Value.Kind() == slog.KindAny || a.Value.Kind() == slog.KindString {
			if len(text) > maxLogged {
				text = text[:maxLogged] + "…"
			}
			a.Value = slog.StringValue(text)
		}
		clean.AddAttrs(a)
		return true
	})
	return h.Handler.Handle(ctx, clean)
}

// WithAttrs keeps attributes that the log itself adds.
func (h quietHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quietHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup keeps groups that the log itself adds.
func (h quietHandler) WithGroup(name string) slog.Handler {
	return quietHandler{h.Handler.WithGroup(name)}
}
