# Numbers, strings, blocks, threads, fibers and a file.
require 'digest'
require 'json'
require 'set'

puts "hello from ruby, #{ARGV.join(' ')}"
puts "loop #{(1..1_000_000).inject(0) { |sum, n| (sum * 31 + n) % 1_000_003 }}"
count = Hash.new(0)
200_000.times { |n| count[n * 7919 % 1009] += 1 }
puts "hash #{count.size} #{count[0]}"
text = (1..20_000).map { |n| "word#{n}" }.join(' ')
puts "regex #{text.scan(/\bword(\d*7)\b/).size} #{text.gsub(/word(\d)(\d)/, 'drow\2\1')[60, 20]}"
puts "sort #{(1..50_000).map { |n| n * 7919 % 100_003 }.sort.values_at(0, 25_000, 49_999).inspect}"
puts "big #{(2**521 - 1).to_s.size} #{(1..200).inject(:*).digits.sum}"
puts "json #{JSON.generate(JSON.parse('{"b": [1, 2.5, null], "a": "\u00e4"}'))}"
puts "digest #{Digest::SHA256.hexdigest('clay')[0, 16]}"
mutex = Mutex.new
total = 0
threads = 8.times.map { Thread.new { 1000.times { mutex.synchronize { total += 1 } } } }
threads.each(&:join)
puts "threads #{total}"
queue = SizedQueue.new(2)
producer = Thread.new { 1000.times { |n| queue << n }; queue << nil }
sum = 0
while (n = queue.pop)
  sum += n
end
producer.join
puts "queue #{sum}"
fiber = Fiber.new { 3.times { |n| Fiber.yield n }; :done }
puts "fiber #{4.times.map { fiber.resume }.inspect}"
File.write('/tmp/ruby-bench', (1..50_000).map { |n| "#{n}\n" }.join)
puts "file #{File.foreach('/tmp/ruby-bench').sum(&:to_i)}"
File.delete('/tmp/ruby-bench')
start = Process.clock_gettime(Process::CLOCK_MONOTONIC)
sleep 0.02
puts "slept #{Process.clock_gettime(Process::CLOCK_MONOTONIC) - start >= 0.02}"
trap('USR1') { puts 'signal' }
Process.kill('USR1', Process.pid)
sleep 0.05
GC.start
puts "collected #{GC.count.positive?} #{Set[1, 2, 2].size}"
