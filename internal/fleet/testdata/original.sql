-- What the original's database has after a while on a small site: the tables that it makes, as far as it
-- ever writes them, and some rows. [NAME] is quoted, and types are replaced, as each database wants it.
CREATE TABLE [user] (username VARCHAR(255) NOT NULL PRIMARY KEY, is_admin BOOL NOT NULL);
CREATE TABLE [role] (name VARCHAR(255) NOT NULL PRIMARY KEY);
CREATE TABLE user_role (user_id VARCHAR(255) NOT NULL, role_id VARCHAR(255) NOT NULL);
CREATE TABLE resourcepermission (id SERIAL, authz_grp VARCHAR(255) NOT NULL, action VARCHAR(255) NOT NULL, role_id VARCHAR(255) NOT NULL);
CREATE TABLE alertrequest (id VARCHAR(255) NOT NULL PRIMARY KEY, request_time TIMESTAMP NOT NULL, response_expected BOOL NOT NULL, task_id VARCHAR(255), data JSON NOT NULL);
CREATE TABLE alertresponse (id VARCHAR(255) NOT NULL PRIMARY KEY, response_time TIMESTAMP NOT NULL, response VARCHAR(255) NOT NULL, data JSON NOT NULL, alert_request_id VARCHAR(255) NOT NULL);
CREATE TABLE beaconstate (id VARCHAR(255) NOT NULL PRIMARY KEY, online BOOL NOT NULL, category VARCHAR(255), activated BOOL NOT NULL, level VARCHAR(255));
CREATE TABLE doorstate (id VARCHAR(255) NOT NULL PRIMARY KEY, data JSON NOT NULL);
CREATE TABLE liftstate (id VARCHAR(255) NOT NULL PRIMARY KEY, data JSON NOT NULL);
CREATE TABLE dispenserstate (id VARCHAR(255) NOT NULL PRIMARY KEY, data JSON NOT NULL);
CREATE TABLE ingestorstate (id VARCHAR(255) NOT NULL PRIMARY KEY, data JSON NOT NULL);
CREATE TABLE fleetstate (name VARCHAR(255) NOT NULL PRIMARY KEY, data JSON NOT NULL);
CREATE TABLE fleetlog (name VARCHAR(255) NOT NULL PRIMARY KEY);
CREATE TABLE fleetloglog (id SERIAL, seq INT NOT NULL, unix_millis_time BIGINT NOT NULL, tier VARCHAR(255) NOT NULL, text TEXT NOT NULL, fleet_id VARCHAR(255) NOT NULL);
CREATE TABLE rio (id VARCHAR(255) NOT NULL PRIMARY KEY, type VARCHAR(255) NOT NULL, data JSON NOT NULL);
CREATE TABLE scheduledtask (id SERIAL, task_request JSON NOT NULL, created_by VARCHAR(255) NOT NULL, last_ran TIMESTAMP NULL, start_from TIMESTAMP NULL, until TIMESTAMP NULL, except_dates JSON NOT NULL);
CREATE TABLE scheduledtaskschedule (id SERIAL, every SMALLINT, period VARCHAR(9) NOT NULL, at VARCHAR(255), scheduled_task_id INT NOT NULL);
CREATE TABLE taskstate (id VARCHAR(255) NOT NULL PRIMARY KEY, data JSON NOT NULL, category VARCHAR(255), status VARCHAR(255));
CREATE TABLE taskrequest (id VARCHAR(255) NOT NULL PRIMARY KEY, request JSON NOT NULL);
CREATE TABLE taskeventlog (task_id VARCHAR(255) NOT NULL PRIMARY KEY);
CREATE TABLE taskeventloglog (id SERIAL, seq INT NOT NULL, unix_millis_time BIGINT NOT NULL, tier VARCHAR(255) NOT NULL, text TEXT NOT NULL, task_id VARCHAR(255) NOT NULL);
CREATE TABLE taskeventlogphases (id SERIAL, phase VARCHAR(255) NOT NULL, task_id VARCHAR(255) NOT NULL);
CREATE TABLE taskeventlogphaseslog (id SERIAL, seq INT NOT NULL, unix_millis_time BIGINT NOT NULL, tier VARCHAR(255) NOT NULL, text TEXT NOT NULL, phase_id INT NOT NULL);
CREATE TABLE taskeventlogphasesevents (id SERIAL, event VARCHAR(255) NOT NULL, phase_id INT NOT NULL);
CREATE TABLE taskeventlogphaseseventslog (id SERIAL, seq INT NOT NULL, unix_millis_time BIGINT NOT NULL, tier VARCHAR(255) NOT NULL, text TEXT NOT NULL, event_id INT NOT NULL);
CREATE TABLE taskfavorite (id VARCHAR(255) NOT NULL PRIMARY KEY, name VARCHAR(255) NOT NULL, unix_millis_earliest_start_time BIGINT, priority JSON, category VARCHAR(255) NOT NULL,
  description JSON NOT NULL, [user] VARCHAR(255) NOT NULL, task_definition_id VARCHAR(255));
INSERT INTO [user] VALUES ('__system__', TRUE), ('anna', FALSE), ('boss', TRUE);
INSERT INTO [role] VALUES ('operator'), ('unused');
INSERT INTO user_role VALUES ('anna', 'operator');
INSERT INTO resourcepermission (authz_grp, action, role_id) VALUES ('', 'task_read', 'operator'), ('', 'task_fly', 'operator');
INSERT INTO alertrequest VALUES ('a1', '2024-01-01 00:00:00', TRUE, 'patrol.1', '{"id":"a1","unix_millis_alert_time":7,"title":"t","subtitle":"","message":"","display":true,"tier":"info","responses_available":["ok"],"alert_parameters":[],"task_id":"patrol.1"}'),
  ('a2', '2024-01-01 00:00:00', TRUE, NULL, '{"id":"a2","unix_millis_alert_time":8,"title":"t","subtitle":"","message":"","display":true,"tier":"error","responses_available":["ok"],"alert_parameters":[],"task_id":null}');
INSERT INTO alertresponse VALUES ('a1', '2024-01-01 00:00:00', 'ok', '{"id":"a1","unix_millis_response_time":9,"response":"ok"}', 'a1');
INSERT INTO beaconstate VALUES ('b1', TRUE, NULL, FALSE, 'L1');
INSERT INTO doorstate VALUES ('d1', '{"door_time":{"sec":1,"nanosec":2},"door_name":"d1","current_mode":{"value":2}}');
INSERT INTO liftstate VALUES ('l1', '{"lift_time":{"sec":1,"nanosec":2},"lift_name":"l1","available_floors":["L1"],"current_floor":"L1","destination_floor":"L1","door_state":0,"motion_state":0,"available_modes":[1,2],"current_mode":2,"session_id":""}');
INSERT INTO dispenserstate VALUES ('w1', '{"time":{"sec":1,"nanosec":2},"guid":"w1","mode":0,"request_guid_queue":[],"seconds_remaining":0.0}');
INSERT INTO ingestorstate VALUES ('w2', '{"time":{"sec":1,"nanosec":2},"guid":"w2","mode":0,"request_guid_queue":[],"seconds_remaining":0.0}');
INSERT INTO fleetstate VALUES ('f1', '{"name":"f1","robots":{"r1":{"name":"r1","status":"idle"}}}');
INSERT INTO fleetlog VALUES ('f1');
INSERT INTO fleetloglog (seq, unix_millis_time, tier, text, fleet_id) VALUES (0, 10, 'info', 'hello', 'f1');
INSERT INTO rio VALUES ('r1', 'lamp', '{"on":true}');
INSERT INTO scheduledtask (task_request, created_by, last_ran, start_from, until, except_dates) VALUES
  ('{"category":"clean","description":{"zone":"a"}}', 'anna', '2024-01-02 03:04:05', NULL, NULL, '["2024-05-06","2024-01-02"]'),
  ('{"category":"clean","description":{"zone":"b"}}', 'nobody', NULL, '2020-01-01 00:00:00', '2021-01-01 00:00:00', '[]');
INSERT INTO scheduledtaskschedule (every, period, at, scheduled_task_id) VALUES (NULL, 'monday', '08:00', 1), (NULL, 'day', '10:00', 1), (NULL, 'day', '10:00', 2);
INSERT INTO taskstate VALUES ('patrol.1', '{"booking":{"id":"patrol.1","labels":["k=v"]},"category":"patrol","status":"completed","unix_millis_start_time":5,"assigned_to":{"group":"f1","name":"r1"}}', 'patrol', 'completed'),
  ('broken', '{"booking":{"id":"other"}}', NULL, NULL);
INSERT INTO taskrequest VALUES ('patrol.1', '{"category":"patrol","description":{"places":["a"]},"labels":["k=v"]}');
INSERT INTO taskeventlog VALUES ('patrol.1');
INSERT INTO taskeventloglog (seq, unix_millis_time, tier, text, task_id) VALUES (0, 10, 'info', 'begun', 'patrol.1');
INSERT INTO taskeventlogphases (phase, task_id) VALUES ('1', 'patrol.1');
INSERT INTO taskeventlogphaseslog (seq, unix_millis_time, tier, text, phase_id) VALUES (0, 20, 'info', 'phase', 1), (0, 20, 'info', 'phase', 1);
INSERT INTO taskeventlogphasesevents (event, phase_id) VALUES ('0', 1), ('1', 1);
INSERT INTO taskeventlogphaseseventslog (seq, unix_millis_time, tier, text, event_id) VALUES (0, 30, 'warning', 'event', 1);
INSERT INTO taskfavorite VALUES ('fav', 'mine', 0, NULL, 'clean', '{"zone":"a"}', 'anna', 'clean'), ('fav2', 'urgent', NULL, '{"type":"binary","value":1}', 'clean', '{"zone":"a"}', 'anna', NULL);
