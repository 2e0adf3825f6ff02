package database

import "testing"

func TestRebind(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		dialect  Dialect
		in, want string
	}{
		{Postgres, "SELECT 1", "SELECT 1"},
		{Postgres, "SELECT ? , ?", "SELECT $1 , $2"},
		{Postgres, `SELECT '?', "a?b", ?, 'it''s ?'`, `SELECT '?', "a?b", $1, 'it''s ?'`},
		{SQLite, "SELECT ?", "SELECT ?"},
		{MySQL, "SELECT ?", "SELECT ?"},
	} {
		if got := rebind(tt.dialect, tt.in); got != tt.want {
			t.Errorf("rebind(%s, %s) = %s, want %s", tt.dialect, tt.in, got, tt.want)
		}
	}
}

func TestUpsert(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		dialect Dialect
		columns []string
		want    string
	}{
		{SQLite, []string{"c", "d"}, "INSERT INTO t (a, b, c, d) VALUES (?, ?, ?, ?) ON CONFLICT (a, b) DO UPDATE SET c = excluded.c, d = excluded.d"},
		{Postgres, nil, "INSERT INTO t (a, b) VALUES (?, ?) ON CONFLICT (a, b) DO NOTHING"},
		{MySQL, []string{"c"}, "INSERT INTO t (a, b, c) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE c = VALUES(c)"},
		{MySQL, nil, "INSERT INTO t (a, b) VALUES (?, ?) ON DUPLICATE KEY UPDATE a = a"},
	} {
		if got := Upsert(tt.dialect, "t", []string{"a", "b"}, tt.columns); got != tt.want {
			t.Errorf("Upsert on %s:\n got %s\nwant %s", tt.dialect, got, tt.want)
		}
	}
}

func TestInsertAbsent(t *testing.T) {
	t.Parallel()
	for dialect, want := range map[Dialect]string{
		SQLite:   "INSERT INTO t (a, b, c) VALUES (?, ?, ?) ON CONFLICT (a, b) DO NOTHING",
		Postgres: "INSERT INTO t (a, b, c) VALUES (?, ?, ?) ON CONFLICT (a, b) DO NOTHING",
		MySQL:    "INSERT INTO t (a, b, c) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE a = a",
	} {
		if got := InsertAbsent(dialect, "t", []string{"a", "b"}, []string{"c"}); got != want {
			t.Errorf("InsertAbsent on %s:\n got %s\nwant %s", dialect, got, want)
		}
	}
}

func TestContains(t *testing.T) {
	t.Parallel()
	if got, want := Contains("50%_of!"), "%50!%!_of!!%"; got != want {
		t.Errorf("Contains = %s, want %s", got, want)
	}
}
