package identity

import "context"

// Reach asks every issuer whose keys are elsewhere for them, and gives by issuer what came of it:
// for `lodge doctor`.
func (s *Service) Reach(ctx context.Context) map[string]error {
	reached := map[string]error{}
	for _, is := range s.issuers {
		if is.set == nil {
			continue
		}
		_, err := is.fetchKeys(ctx)
		reached[is.id] = err
	}
	return reached
}
