#!/usr/bin/env bats
# What nodes tell the fleet, and to whom: the requests of larder-sched, on the socket and between machines.

load lib

setup()
{
	place_setup
	cp "$BUILD/tests/asknode" "$T/asknode" # where ordinary users can run it
}
teardown() { place_teardown; }

ask() { "$T/asknode" "$@"; }

@test 'what only the fleet may ask is refused to ordinary users, and fleet_users may' {
	dataset imagenet:v3 2 1000
	daemon_start
	code 1 as $USER_A "$T/asknode" MAY 0 0 imagenet v3
	contains "$output" EPERM
	contains "$output" fleet_users
	ask MAY $USER_A $USER_A imagenet v3
	daemon_stop
	daemon_conf 'fleet_users = { "nobody" }'
	daemon_start
	as "$(id -u nobody)" "$T/asknode" MAY $USER_A $USER_A imagenet v3
	code 1 as $USER_A "$T/asknode" MAY $USER_A $USER_A imagenet v3
}

@test 'MAY tells who may see a dataset, by the right to its origin' {
	dataset secret:v1 2 1000
	chmod 750 "$(origin_of secret:v1)"
	dataset open:v1 2 1000 --access public
	daemon_start
	ask MAY 0 0 secret v1
	code 1 ask MAY $USER_A $USER_A secret v1
	ask MAY $USER_A $USER_A open v1
	code 1 ask MAY $USER_A $USER_A nosuch v1
	code 1 ask MAY $USER_A $USER_A '../x' v1
	contains "$output" EINVAL
}

@test 'what larder-sched answers is refused by a node, with a sentence' {
	daemon_start
	code 1 ask FLEET_STATUS
	contains "$output" "larder-sched's to answer"
	daemon_alive
}
