<?php
// Numbers, strings, arrays, objects and a file.
declare(strict_types=1);

echo 'hello from php, ', implode(' ', array_slice($argv, 1)), "\n";
$sum = 0;
for ($n = 1; $n <= 1000000; $n++) {
    $sum = ($sum * 31 + $n) % 1000003;
}
echo "loop $sum\n";
$count = [];
for ($n = 0; $n < 200000; $n++) {
    $key = $n * 7919 % 1009;
    $count[$key] = ($count[$key] ?? 0) + 1;
}
echo 'hash ', count($count), ' ', $count[0], "\n";
$text = implode(' ', array_map(fn ($n) => "word$n", range(1, 20000)));
echo 'regex ', preg_match_all('/\bword(\d*7)\b/', $text), ' ', substr(preg_replace('/word(\d)(\d)/', 'drow$2$1', $text), 60, 20), "\n";
$numbers = array_map(fn ($n) => $n * 7919 % 100003, range(1, 50000));
sort($numbers);
echo "sort {$numbers[0]} {$numbers[25000]} {$numbers[49999]}\n";

final class Node
{
    public function __construct(public ?Node $left, public ?Node $right)
    {
    }

    public function count(): int
    {
        return 1 + ($this->left?->count() ?? 0) + ($this->right?->count() ?? 0);
    }
}
function tree(int $depth): Node
{
    return $depth === 0 ? new Node(null, null) : new Node(tree($depth - 1), tree($depth - 1));
}
echo 'objects ', tree(15)->count(), "\n";
function numbers(int $count): Generator
{
    for ($n = 0; $n < $count; $n++) {
        yield $n;
    }
}
echo 'generator ', array_sum(iterator_to_array(numbers(10000))), "\n";
echo 'json ', json_encode(json_decode('{"b": [1, 2.5, null], "a": "x"}')), ' ', substr(hash('sha256', 'clay'), 0, 16), "\n";
$path = '/tmp/php-bench';
file_put_contents($path, implode("\n", range(1, 50000)));
echo 'file ', array_sum(file($path)), ' ', filesize($path), "\n";
unlink($path);
$start = hrtime(true);
usleep(20000);
echo 'slept ', hrtime(true) - $start >= 20000000 ? 'yes' : 'no', "\n";
try {
    intdiv(1, 0);
} catch (DivisionByZeroError $error) {
    echo 'caught ', $error->getMessage(), "\n";
}
echo 'memory ', memory_get_peak_usage() > 1 << 20 ? 'yes' : 'no', "\n";
