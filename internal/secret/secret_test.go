package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"lodge/internal/secret"
)

func TestNothingPrintsASecret(t *testing.T) {
	t.Parallel()
	const text = "hunter2-hunter2"
	s := secret.String(text)
	in := struct {
		Password secret.String `json:"password"`
	}{s}
	asJSON, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("opened", "password", s, "all", in)
	all := fmt.Sprintf("%v %+v %#v %s %q %s %s", in, in, in, s, s, asJSON, log.String())
	if strings.Contains(all, text) {
		t.Errorf("the secret is visible in %s", all)
	}
	if s.Reveal() != text {
		t.Error("Reveal does not give the secret back")
	}
}
