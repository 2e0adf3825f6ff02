// Package secret holds the type of every value that must reach no log, error,
// metric, event or answer.
package secret

import "log/slog"

// Masked is what a secret prints as.
const Masked = "***"

// String is a secret text. Every way of printing it shows Masked; only Reveal gives it away.
type String string

// Reveal gives the secret itself, for the one place that needs it.
func (s String) Reveal() string { return string(s) }

// String prints Masked, or nothing for an empty secret.
func (s String) String() string {
	if s == "" {
		return ""
	}
	return Masked
}

// GoString keeps %#v from printing the secret.
func (s String) GoString() string { return s.String() }

// MarshalText keeps encoding/json and others from printing the secret.
func (s String) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalYAML keeps YAML encoders from printing the secret.
func (s String) MarshalYAML() (any, error) { return s.String(), nil }

// LogValue keeps slog from printing the secret.
func (s String) LogValue() slog.Value { return slog.StringValue(s.String()) }
