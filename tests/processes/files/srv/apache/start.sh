mkdir -p /run/apache2
exec /usr/sbin/apache2 -f /srv/apache/apache.conf -D FOREGROUND
