module aplsmoke

go 1.21
