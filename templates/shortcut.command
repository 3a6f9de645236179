#!/bin/sh
# {{ comment }}
exec {{ command }}
