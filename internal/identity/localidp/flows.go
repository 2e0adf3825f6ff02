package localidp

import (
	"context"
	"errors"
	"slices"

	"github.com/dexidp/dex/storage"
)

// flows is the storage as Dex's flows see it, with what must hold for every login, whichever way
// it began: nothing can go round what the storage refuses.
type flows struct {
	storage.Storage
	// devicePath is where Dex's own device flow comes back to, the only login without PKCE.
	devicePath string
}

var errNoPKCE = errors.New("this login needs PKCE with S256: send code_challenge and code_challenge_method=S256")

// CreateAuthRequest begins a login. It needs PKCE, and for the command line the person's consent:
// anybody can send somebody a link that starts its login.
func (f *flows) CreateAuthRequest(ctx context.Context, a storage.AuthRequest) error {
	if a.RedirectURI != f.devicePath && (a.PKCE.CodeChallenge == "" || a.PKCE.CodeChallengeMethod != "S256") {
		return errNoPKCE
	}
	if slices.Contains(outOfBand, a.RedirectURI) {
		return errors.New("a code is not shown to be copied; use the device flow")
	}
	if a.ClientID == CLIClient {
		a.ForceApprovalPrompt = true
	}
	return f.Storage.CreateAuthRequest(ctx, a)
}

var outOfBand = []string{"urn:ietf:wg:oauth:2.0:oob", "urn:ietf:wg:oauth:2.0:oob:auto"}
