// Package faultproxy puts a way that can fail between clients and a real server: data in one direction
// vanishes or waits, connections are cut, and each fault is counted where it is seen to happen.
//
// A client stays on its way only if it does not learn other ones from the server: connect with
// [Options], which has it ignore the addresses that a server tells.
package faultproxy
