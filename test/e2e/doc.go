// Package e2e tells end-to-end stories: each drives the built binary as people and programs do, in
// processes of its own, and knows it only by its commands, its addresses and its answers.
//
//	go test ./test/e2e          the stories of every day, part of `make test`
//	go test ./test/e2e -full    also the long ones: twenty crashes, gigabytes; part of `make e2e`
//
// The binary is bin/lodge, made by `make build`; LODGE_BIN names another. Databases and the S3 store
// are real servers, see internal/drivertest/services. Every server is ended by its story, also when
// the story fails or panics, and is asked to leave nothing behind.
//
//	process_test.go          one run of the binary
//	lodge_test.go            a site: its server, its data, its commands
//	caller_test.go           whoever talks to it
//	hub_test.go              the simulated hub
//	fleet_building_test.go   the simulated building with its robots
//	fleet_dashboard_test.go  a dashboard, with the stock socket.io client
//	browser_test.go          somebody who logs in with a password
//	workflows_test.go        jobs, and what is left of them after power cuts
package e2e
