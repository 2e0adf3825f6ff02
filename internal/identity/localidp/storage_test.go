package localidp

import (
	"testing"

	"github.com/dexidp/dex/storage"
	"github.com/dexidp/dex/storage/conformance"

	"lodge/internal/database"
	"lodge/internal/database/databasetest"
)

// TestConformance is Dex's own suite for storages, on every database.
func TestConformance(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *database.DB) {
		fresh := func(t *testing.T) storage.Storage {
			if _, err := db.Exec(t.Context(), "DELETE FROM idp_records"); err != nil {
				t.Fatal(err)
			}
			return newRecords(db)
		}
		conformance.RunTests(t, fresh)
		conformance.RunTransactionTests(t, fresh)
		conformance.RunConcurrencyTests(t, fresh)
	})
}

func TestRecordIDs(t *testing.T) {
	t.Parallel()
	seen := map[string][]string{}
	for _, parts := range [][]string{{"a", "b"}, {"a|b"}, {"a%7Cb"}, {"a", "b", ""}, {"", "a", "b"}, {"a b"}, {"a+b"}, {"A", "b"}} {
		id := recordID(append([]string(nil), parts...)...)
		if other, there := seen[id]; there {
			t.Errorf("%q and %q have the id %q", parts, other, id)
		}
		seen[id] = parts
	}
	long := make([]byte, 1000)
	if id := recordID(string(long)); len(id) > 255 {
		t.Errorf("%d bytes", len(id))
	}
}
